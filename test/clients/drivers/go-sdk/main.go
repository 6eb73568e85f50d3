// The official Go SDK.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func textOf(content []mcp.Content) string {
	var texts []string
	for _, part := range content {
		if text, is := part.(*mcp.TextContent); is {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, "\n")
}

func main() {
	updated := make(chan string, 16)
	client := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1"}, &mcp.ClientOptions{
		ResourceUpdatedHandler: func(_ context.Context, notified *mcp.ResourceUpdatedNotificationRequest) {
			updated <- notified.Params.URI
		},
	})
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{Endpoint: os.Args[1]}, nil)
	if err != nil {
		fail(err)
	}
	loop(map[string]operation{
		"tools": func(ctx context.Context, _ request) (object, error) {
			listed, err := session.ListTools(ctx, nil)
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
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: asked.Name, Arguments: asked.Arguments})
			if err != nil {
				return nil, err
			}
			return object{"text": textOf(result.Content), "isError": result.IsError}, nil
		},
		"resources": func(ctx context.Context, _ request) (object, error) {
			listed, err := session.ListResources(ctx, nil)
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
			result, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: asked.URI})
			if err != nil {
				return nil, err
			}
			return object{"text": result.Contents[0].Text}, nil
		},
		"subscribe": func(ctx context.Context, asked request) (object, error) {
			return object{}, session.Subscribe(ctx, &mcp.SubscribeParams{URI: asked.URI})
		},
	}, updated)
}
