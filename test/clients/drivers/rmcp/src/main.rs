// rmcp, the official Rust SDK: reads a JSON object from each line of stdin, lets the client do it, and prints what came
// of it as one line.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ClientConfig, ContentBlock, JsonObject, ReadResourceRequestParams, ResourceContents,
    ResourceUpdatedNotificationParam, SubscribeRequestParams,
};
use rmcp::service::{NotificationContext, Peer, RoleClient};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc;
use tokio::time::timeout;

type Failure = Box<dyn std::error::Error>;

/// Passes the URIs of notifications on.
struct Handler {
    updated: mpsc::UnboundedSender<String>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        let _ = self.updated.send(params.uri);
    }
}

async fn call(client: &Peer<RoleClient>, asked: &Value) -> Result<Value, Failure> {
    let given: JsonObject = serde_json::from_value(asked["arguments"].clone())?;
    let params = CallToolRequestParams::new(text(asked, "name")).with_arguments(given);
    let result = client.call_tool(params).await?;
    let texts: Vec<&str> = result.content.iter().filter_map(ContentBlock::as_text).map(|one| one.text.as_str()).collect();
    Ok(json!({ "text": texts.join("\n"), "isError": result.is_error == Some(true) }))
}

async fn run(
    client: &Peer<RoleClient>,
    updated: &mut mpsc::UnboundedReceiver<String>,
    asked: &Value,
) -> Result<Value, Failure> {
    match asked["op"].as_str() {
        Some("tools") => {
            let names: Vec<String> = client.list_all_tools().await?.into_iter().map(|tool| tool.name.into()).collect();
            Ok(json!({ "tools": names }))
        }
        Some("call") => call(client, asked).await,
        Some("cancel") => {
            // A call whose future is dropped is cancelled.
            let after = Duration::from_millis(asked["after_ms"].as_u64().unwrap_or_default());
            match timeout(after, call(client, asked)).await {
                Ok(ended) => Err(format!("the call ended by itself: {ended:?}").into()),
                Err(_) => Ok(json!({})),
            }
        }
        Some("resources") => {
            let uris: Vec<String> = client.list_all_resources().await?.into_iter().map(|one| one.uri.clone()).collect();
            Ok(json!({ "uris": uris }))
        }
        Some("read") => {
            let read = client.read_resource(ReadResourceRequestParams::new(text(asked, "uri"))).await?;
            match read.contents.first() {
                Some(ResourceContents::TextResourceContents { text, .. }) => Ok(json!({ "text": text })),
                other => Err(format!("the resource is no text: {other:?}").into()),
            }
        }
        Some("subscribe") => {
            #[allow(deprecated)] // The way of the revision that the client negotiates by default.
            client.subscribe(SubscribeRequestParams::new(text(asked, "uri"))).await?;
            Ok(json!({}))
        }
        Some("updated") => {
            let uri = timeout(Duration::from_secs(10), updated.recv()).await?;
            Ok(json!({ "uri": uri }))
        }
        _ => Ok(json!({ "unsupported": true })),
    }
}

fn text(asked: &Value, field: &str) -> String {
    asked[field].as_str().unwrap_or_default().to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).ok_or("the URL of the server is missing")?;
    let (sender, mut updated) = mpsc::unbounded_channel();
    let client = Handler { updated: sender }.serve(StreamableHttpClientTransport::from_uri(url)).await?;
    println!("{}", json!({ "ready": true }));
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let asked: Value = serde_json::from_str(&line)?;
        let result = match run(client.peer(), &mut updated, &asked).await {
            Ok(result) => result,
            Err(failure) => json!({ "failed": failure.to_string() }),
        };
        println!("{result}");
    }
    Ok(())
}
