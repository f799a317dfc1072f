//! The table of verdicts: what each kind of message proves, by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use mcp::{Limits, LookAlike, METHODS, Message, Reader, Revision, Sender, Verdict, direction_of, is_mcp_method, judge};

fn only(body: &str) -> Message {
    let mut messages = Vec::new();
    let mut reader = Reader::new();
    reader.feed(&Limits::default(), body.as_bytes(), &mut |m| messages.push(m));
    reader.finish(&mut |m| messages.push(m));
    assert_eq!(messages.len(), 1, "{body}");
    messages.pop().unwrap()
}

#[track_caller]
fn check(members: &str, want: &Verdict) {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,{members}}}"#);
    assert_eq!(judge(&only(&body)), *want, "{body}");
}

#[test]
fn methods_prove_what_they_can() {
    use Verdict::{LookAlike as Like, Neutral, Proof, Strong};
    for (members, want) in [
        (r#""method":"ping""#, Neutral),
        (r#""method":"tools/list""#, Strong("method")),
        (r#""method":"elicitation/create","params":{"message":"m"}"#, Strong("method")),
        (r#""method":"elicitation/create","params":{"sessionId":"s"}"#, Like(LookAlike::Acp)),
        (r#""method":"notifications/progress","params":{}"#, Strong("notification")),
        (r#""method":"notifications/vendor/thing""#, Neutral),
        (r#""method":"tasks/get","params":{"taskId":"t"}"#, Strong("method")),
        (r#""method":"tasks/get","params":{"id":"t"}"#, Like(LookAlike::A2a)),
        (r#""method":"tasks/get""#, Neutral),
        (r#""method":"tasks/list""#, Neutral),
        (r#""method":"tasks/list","params":{"_meta":{"io.modelcontextprotocol/x":1}}"#, Proof("meta")),
        (r#""method":"tasks/pushNotificationConfig/set","params":{}"#, Like(LookAlike::A2a)),
        (r#""method":"message/send","params":{"message":{}}"#, Like(LookAlike::A2a)),
        (r#""method":"agent/getAuthenticatedExtendedCard""#, Like(LookAlike::A2a)),
        (r#""method":"session/prompt","params":{}"#, Like(LookAlike::Acp)),
        (r#""method":"textDocument/hover","params":{}"#, Like(LookAlike::Lsp)),
        (r#""method":"initialized","params":{}"#, Like(LookAlike::Lsp)),
        (r#""method":"com.acme/export""#, Like(LookAlike::OtherRpc)),
        (r#""method":"com.acme/export","params":{"_meta":{"io.modelcontextprotocol/x":1}}"#, Proof("meta")),
        // Only where MCP puts it.
        (r#""method":"com.acme/export","params":{"io.modelcontextprotocol/x":1}"#, Like(LookAlike::OtherRpc)),
        (
            r#""method":"com.acme/export","params":{"a":{"_meta":{"io.modelcontextprotocol/x":1}}}"#,
            Like(LookAlike::OtherRpc),
        ),
        (r#""method":"initialize","params":{"protocolVersion":"x","capabilities":{}}"#, Proof("initialize")),
        (r#""method":"initialize","params":{"protocolVersion":"x"}"#, Strong("initialize")),
        (r#""method":"initialize","params":{"protocolVersion":1,"capabilities":{}}"#, Like(LookAlike::Acp)),
        (r#""method":"initialize","params":{"capabilities":{}}"#, Like(LookAlike::Lsp)),
        (r#""method":"initialize","params":[]"#, Like(LookAlike::Lsp)),
    ] {
        check(members, &want);
    }
}

#[test]
fn answers_prove_what_they_can() {
    use Verdict::{LookAlike as Like, Neutral, Proof, Strong};
    for (members, want) in [
        (r#""result":{}"#, Neutral),
        (r#""result":"0x10""#, Neutral),
        (r#""result":{"protocolVersion":"x","capabilities":{},"serverInfo":{"name":"s"}}"#, Proof("initialize-result")),
        (r#""result":{"protocolVersion":"x","capabilities":{}}"#, Strong("initialize-result")),
        (r#""result":{"protocolVersion":1,"agentCapabilities":{}}"#, Like(LookAlike::Acp)),
        (r#""result":{"capabilities":{},"serverInfo":{"name":"s"}}"#, Like(LookAlike::Lsp)),
        (r#""result":{"supportedVersions":["x"],"capabilities":{}}"#, Strong("discover-result")),
        (r#""result":{"tools":[]}"#, Neutral),
        (r#""result":{"tools":[{"name":"a"}]}"#, Neutral),
        (r#""result":{"tools":[{"inputSchema":{"name":"x"},"name":"a"}]}"#, Strong("tools")),
        (r#""result":{"tools":[{"name":"a"},{"inputSchema":{}}]}"#, Neutral),
        (r#""result":{"resourceTemplates":[{"uriTemplate":"x://{a}"}]}"#, Strong("resource-templates")),
        (r#""result":{"resources":[{"uri":"x://a","name":"n"}]}"#, Neutral),
        (r#""result":{"content":[{"type":"text","text":"x"}]}"#, Neutral),
        (r#""result":{"content":[{"type":"text"}],"isError":false}"#, Strong("call-result")),
        (r#""result":{"content":[{"type":"tool_use"}],"isError":false}"#, Neutral),
        (r#""result":{"resultType":"complete"}"#, Neutral),
        (r#""result":{"resultType":"complete","tools":[],"ttlMs":1}"#, Strong("result-type")),
        (r#""result":{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#, Proof("meta")),
        (r#""error":{"code":-32022,"message":"no"}"#, Neutral),
        (r#""error":{"code":-32022,"message":"no","data":{"supported":["x"]}}"#, Strong("refusal")),
        (r#""error":{"code":-32020,"message":"Header mismatch: Mcp-Method"}"#, Strong("refusal")),
        (r#""error":{"code":-32042,"message":"m","data":{"elicitations":[]}}"#, Strong("url-elicitation")),
        (r#""error":{"code":-32001,"message":"Session not found"}"#, Neutral),
        (r#""result":null,"error":null"#, Neutral),
    ] {
        check(members, &want);
    }
}

#[test]
fn what_is_no_json_rpc_is_never_strong() {
    for (body, want) in [
        (r#"{"id":1,"method":"tools/call"}"#, Verdict::Neutral),
        (r#"{"jsonrpc":"1.0","id":1,"method":"tools/call"}"#, Verdict::Neutral),
        (r#"{"id":1,"result":{"tools":[{"name":"a","inputSchema":{}}]}}"#, Verdict::Neutral),
        (r#"{"id":1,"method":"turn/start","params":{}}"#, Verdict::LookAlike(LookAlike::AppServer)),
        (r#"{"id":1,"method":"Page.enable"}"#, Verdict::LookAlike(LookAlike::OtherRpc)),
        (r#"{"seq":2,"type":"event","event":"stopped"}"#, Verdict::LookAlike(LookAlike::Dap)),
    ] {
        assert_eq!(judge(&only(body)), want, "{body}");
    }
}

#[test]
fn the_table_of_methods_is_that_of_the_revisions() {
    assert_eq!(METHODS.len(), 36);
    assert_eq!(direction_of("sampling/createMessage"), Some(Sender::Server));
    assert_eq!(direction_of("tools/call"), Some(Sender::Client));
    assert_eq!(direction_of("eth_call"), None);
    assert!(is_mcp_method("ping") && !is_mcp_method("tools/call/x"));
    assert!(METHODS.iter().all(|m| m.since <= m.until && m.until >= Revision::D));
}
