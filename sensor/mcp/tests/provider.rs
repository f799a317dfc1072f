//! What model calls and their answers say of MCP that the provider speaks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

use mcp::{Limits, Provider, ProviderApi, Reader};

/// Reads a body in pieces of `size`; `answer`: it answers a call that named servers.
fn read(body: &str, size: usize, answer: bool) -> Option<Provider> {
    let mut reader = Reader::new();
    reader.expect_provider(answer);
    for piece in body.as_bytes().chunks(size) {
        reader.feed(&Limits::default(), piece, &mut |_| ());
    }
    reader.finish(&mut |_| ());
    reader.take_provider().map(|p| *p)
}

#[track_caller]
fn check(body: &str, answer: bool) -> Option<Provider> {
    let whole = read(body, body.len().max(1), answer);
    for size in [1, 2, 7] {
        assert_eq!(read(body, size, answer), whole, "in pieces of {size}: {body}");
    }
    whole
}

#[test]
fn a_call_names_its_servers_in_every_shape_and_never_a_secret() {
    for (body, api, label, url, connector, credentials) in [
        (
            r#"{"tools":[{"type":"function","name":"f"},{"headers":{"x":"hunter2"},"server_url":"https://u:hunter2@n.example/mcp?k=hunter2","type":"mcp","server_label":"n"}],"model":"m"}"#,
            ProviderApi::OpenAi,
            Some("n"),
            Some("https://…@n.example/mcp?k=…"),
            None,
            true,
        ),
        (
            r#"{"tools":[{"type":"mcp","server_label":"d","connector_id":"connector_dropbox","authorization":"hunter2"}]}"#,
            ProviderApi::OpenAi,
            Some("d"),
            None,
            Some("connector_dropbox"),
            true,
        ),
        (
            r#"{"mcp_servers":[{"type":"url","name":"n","url":"https://n.example/mcp","authorization_token":"hunter2","tool_configuration":{"enabled":true}}]}"#,
            ProviderApi::Anthropic,
            Some("n"),
            Some("https://n.example/mcp"),
            None,
            true,
        ),
        (
            r#"{"input":"hi","tools":[{"type":"mcp_server","url":"https:\/\/n.example\/mcp","name":"n"}]}"#,
            ProviderApi::Gemini,
            Some("n"),
            Some("https://n.example/mcp"),
            None,
            false,
        ),
        (
            r#"{"contents":[],"tools":[{"mcpServers":[{"name":"n","streamableHttpTransport":{"url":"https://n.example/mcp","headers":{"a":"hunter2"}}}]}]}"#,
            ProviderApi::Gemini,
            Some("n"),
            Some("https://n.example/mcp"),
            None,
            true,
        ),
    ] {
        let got = check(body, false).unwrap();
        assert_eq!((got.api, got.servers.len()), (Some(api), 1), "{body}");
        let server = &got.servers[0];
        assert_eq!((server.label.as_deref(), server.url.as_deref()), (label, url), "{body}");
        assert_eq!((server.connector.as_deref(), server.credentials), (connector, credentials), "{body}");
        assert!(!format!("{got:?}").contains("hunter2"), "{got:?}");
    }
}

#[test]
fn other_calls_and_documents_say_nothing() {
    for body in [
        r#"{"model":"m","messages":[{"role":"user","content":"{\"tools\":[{\"type\":\"mcp\",\"server_url\":\"https://n.example\"}]}"}]}"#,
        r#"{"model":"m","tools":[{"type":"function","function":{"name":"mcp","parameters":{"type":"mcp","server_url":"https://n.example"}}}]}"#,
        r#"{"tools":[{"type":"mcp","server_label":"n"}]}"#,
        r#"{"tools":[{"type":"web","server_url":"https://n.example"}]}"#,
        r#"{"mcp_servers":[{"name":"n","url":"https://n.example"}]}"#,
        r#"{"mcp_servers":{"n":{"type":"url","url":"https://n.example"}}}"#,
        r#"{"mcp_servers":["https://n.example"],"tools":"mcp"}"#,
        r#"[{"tools":[{"type":"mcp","server_url":"https://n.example"}]}]"#,
        r#"{"a":{"tools":[{"type":"mcp","server_url":"https://n.example"}]}}"#,
        r#"{"output":[{"type":"mcp_call","name":"echo","id":"c"}]}"#,
    ] {
        assert_eq!(check(body, false), None, "{body}");
    }
    for body in [
        r#"{"output":[{"type":"message","content":[{"type":"mcp_call","name":"echo"}]}]}"#,
        r#"{"content":[{"type":"text","text":"mcp_tool_use"}]}"#,
        r#"{"output":{"type":"mcp_call"},"item":[{"type":"mcp_call"}]}"#,
    ] {
        assert_eq!(check(body, true), None, "{body}");
    }
}

#[test]
fn an_answer_tells_what_was_listed_and_called() {
    let openai = r#"{"id":"r","output":[{"type":"mcp_list_tools","server_label":"n","tools":[{"name":"echo","input_schema":{"name":"x"}},{"name":"add"}]},
        {"type":"mcp_call","id":"c1","server_label":"n","name":"echo","arguments":"{\"a\":\"hunter2\"}","output":"hunter2","error":null},
        {"type":"mcp_call","id":"c2","server_label":"n","name":"add","error":{"type":"x"}},
        {"type":"mcp_approval_request","id":"c3","server_label":"n","name":"wipe","arguments":"{}"}]}"#;
    let anthropic = r#"{"content":[{"type":"text","text":"hi"},{"type":"mcp_tool_use","id":"c1","name":"echo","server_name":"n","input":{"a":"hunter2"}},
        {"type":"mcp_tool_result","tool_use_id":"c1","is_error":false,"content":[{"type":"text","text":"hunter2"}]},
        {"type":"mcp_tool_use","id":"c2","name":"add","server_name":"n","input":{}},{"type":"mcp_tool_result","tool_use_id":"c2","is_error":true}]}"#;
    let gemini = r#"{"outputs":[{"type":"mcp_server_tool_call","id":"c1","name":"echo","server_name":"n","arguments":{}},
        {"type":"mcp_server_tool_result","call_id":"c1","name":"echo","server_name":"n","result":"hunter2"}]}"#;
    for (body, listed, calls) in [
        (
            openai,
            &["echo", "add"][..],
            &[("echo", Some(false), false), ("add", Some(true), false), ("wipe", None, true)][..],
        ),
        (anthropic, &[], &[("echo", Some(false), false), ("add", Some(true), false)]),
        (gemini, &[], &[("echo", Some(false), false)]),
    ] {
        let got = check(body, true).unwrap();
        assert_eq!(got.tools_listed, listed, "{body}");
        let told: Vec<_> = got.calls.iter().map(|c| (c.tool.as_deref().unwrap(), c.is_error, c.asks)).collect();
        assert_eq!(told, calls, "{body}");
        assert!(got.calls.iter().all(|c| c.server.as_deref() == Some("n")), "{got:?}");
        assert!(got.shows_use() && !format!("{got:?}").contains("hunter2"), "{got:?}");
    }
}

#[test]
fn events_of_a_streamed_answer_add_up_to_it() {
    let mut all = Provider::default();
    for event in [
        r#"{"type":"response.created","response":{"id":"r","output":[]}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"mcp_call","id":"c1","server_label":"n","name":"echo"}}"#,
        r#"{"type":"response.output_item.done","item":{"type":"mcp_call","id":"c1","server_label":"n","name":"echo","output":"x"}}"#,
        r#"{"type":"response.completed","response":{"output":[{"type":"mcp_call","id":"c1","name":"echo","output":"x"}]}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"mcp_tool_use","id":"c2","name":"add","server_name":"n"}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"mcp_tool_result","tool_use_id":"c2","is_error":true}}"#,
    ] {
        if let Some(part) = check(event, true) {
            all.join(part);
        }
    }
    let calls: Vec<_> = all.calls.iter().map(|c| (c.tool.as_deref(), c.is_error)).collect();
    assert_eq!(calls, [(Some("echo"), Some(false)), (Some("add"), Some(true))]);
}

#[test]
fn lists_are_bounded_and_the_rest_is_counted() {
    let tools: Vec<String> =
        (0..200).map(|i| format!(r#"{{"type":"mcp","server_url":"https://h{i}.example"}}"#)).collect();
    let calls: Vec<String> = (0..200).map(|i| format!(r#"{{"type":"mcp_call","id":"{i}","name":"t"}}"#)).collect();
    let body = format!(r#"{{"tools":[{}],"output":[{}]}}"#, tools.join(","), calls.join(","));
    let got = check(&body, true).unwrap();
    assert_eq!((got.servers.len(), got.calls.len()), (mcp::MAX_PROVIDER_SERVERS, mcp::MAX_PROVIDER_CALLS));
    assert_eq!(got.not_kept, 200 - 32 + 200 - 128);
    assert!(got.bytes() < 256 << 10);
}
