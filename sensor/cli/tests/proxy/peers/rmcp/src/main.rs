//! An MCP client on the Rust SDK. rmcp-peer http|newest URL
//!
//! Prints what it got as JSON, or what the SDK returns.

use rmcp::ClientLifecycleMode::{Discover, Initialize};
use rmcp::ClientServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientConfig, ProtocolVersion};
use rmcp::transport::StreamableHttpClientTransport;
use serde_json::json;
use std::error::Error;
use std::time::Duration;

async fn said(kind: &str, url: &str) -> Result<String, Box<dyn Error>> {
    let lifecycle = match kind {
        "newest" => Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        _ => Initialize,
    };
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = ClientConfig::default().serve_with_lifecycle(transport, lifecycle).await?;
    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    let arguments = json!({"name": "gasket"}).as_object().cloned().unwrap_or_default();
    let answer = client.call_tool(CallToolRequestParams::new("find_part").with_arguments(arguments)).await?;
    let text = answer.content.first().and_then(|content| content.as_text()).map(|content| content.text.clone());
    let server = client.peer_info().map(|info| json!(info.server_info)["name"].clone());
    let _ = client.cancel().await;
    Ok(json!({"server": server, "tools": tools, "text": text}).to_string())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, kind, url] = arguments.as_slice() else { return Err("usage: rmcp-peer http|newest URL".into()) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let said = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), said(kind, url)).await });
    match said {
        Ok(Ok(text)) => println!("{text}"),
        Ok(Err(error)) => {
            // What lies beneath says more.
            let mut next: Option<&dyn Error> = Some(error.as_ref());
            while let Some(error) = next {
                println!("{error}");
                next = error.source();
            }
        }
        Err(_) => println!("no answer in time"),
    }
    Ok(())
}
