// mcp-go.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

func main() {
	ctx := context.Background()
	updated := make(chan string, 16)
	connected, err := client.NewStreamableHttpClient(os.Args[1], transport.WithContinuousListening())
	if err != nil {
		fail(err)
	}
	if err := connected.Start(ctx); err != nil {
		fail(err)
	}
	connected.OnNotification(func(notified mcp.JSONRPCNotification) {
		if uri, is := notified.Params.AdditionalFields["uri"].(string); is && strings.HasSuffix(notified.Method, "updated") {
			updated <- uri
		}
	})
	begin := mcp.InitializeRequest{}
	begin.Params.ClientInfo = mcp.Implementation{Name: "mcp-go", Version: "1"}
	if _, err := connected.Initialize(ctx, begin); err != nil {
		fail(err)
	}
	loop(map[string]operation{
		"tools": func(ctx context.Context, _ request) (object, error) {
			listed, err := connected.ListTools(ctx, mcp.ListToolsRequest{})
			if err != nil {
				return nil, err
			}
			names := []string{}
			for _, tool := range listed.Tools {
				names = append(names, tool.Name)
			}
			return object{"tools": names}, nil
		},
		"call": func(ctx context.Context, asked request) (object, error) {
			call := mcp.CallToolRequest{}
			call.Params.Name = asked.Name
			call.Params.Arguments = asked.Arguments
			result, err := connected.CallTool(ctx, call)
			if err != nil {
				return nil, err
			}
			texts := []string{}
			for _, part := range result.Content {
				texts = append(texts, mcp.GetTextFromContent(part))
			}
			return object{"text": strings.Join(texts, "\n"), "isError": result.IsError}, nil
		},
		"resources": func(ctx context.Context, _ request) (object, error) {
			listed, err := connected.ListResources(ctx, mcp.ListResourcesRequest{})
			if err != nil {
				return nil, err
			}
			uris := []string{}
			for _, one := range listed.Resources {
				uris = append(uris, one.URI)
			}
			return object{"uris": uris}, nil
		},
		"read": func(ctx context.Context, asked request) (object, error) {
			read := mcp.ReadResourceRequest{}
			read.Params.URI = asked.URI
			result, err := connected.ReadResource(ctx, read)
			if err != nil {
				return nil, err
			}
			text, _ := mcp.AsTextResourceContents(result.Contents[0])
			return object{"text": text.Text}, nil
		},
		"subscribe": func(ctx context.Context, asked request) (object, error) {
			subscribe := mcp.SubscribeRequest{}
			subscribe.Params.URI = asked.URI
			return object{}, connected.Subscribe(ctx, subscribe)
		},
	}, updated)
}
