//! Policies that change what passes, between clients and servers of official SDKs.

use super::*;

const POLICIES: &str = r#"
[pack]
id = "parts"
version = "1"

[[policy]]
id = "nobody-deletes"
when = { tool = "delete_*" }
action = "filter"
message = "Nobody deletes parts."

[[policy]]
id = "no-cards"
when = { dlp = "payment-cards", message = "request" }
action = "redact"
"#;

fn field() -> Option<(Field, Proxy)> {
    let peers = Peers::get()?;
    let lab = Lab::new();
    let old = Server::start(&lab, &peers.old, "policies");
    let newest = Server::start_as(&lab, &peers.newest, "policies", "newest");
    let portal = Server::start(&lab, &peers.old, "portal");
    fs::create_dir(lab.path("own")).unwrap();
    fs::write(lab.path("own/parts.toml"), POLICIES).unwrap();
    let proxy = lab.start("[rules]\ndirs = [\"own\"]\n");
    Some((Field { lab, peers, old, newest, portal }, proxy))
}

#[test]
fn a_tool_that_is_hidden_is_offered_to_no_client_and_all_else_works() {
    let Some((field, proxy)) = field() else { return };
    for name in field.clients() {
        let said = field.run(name, Some(&proxy));
        let got: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{name}: {e}: {said}"));
        assert_eq!((&got["tools"], &got["text"]), (&json!(["find_part"]), &"gasket lies on shelf 4".into()), "{name}");
    }
    let direct: Value = serde_json::from_str(&field.run("python http", None)).unwrap();
    assert_eq!(direct["tools"], json!(["find_part", "delete_part"]));
    proxy.stop();
    let lists = field.told("tools/list");
    let filtered: Vec<_> = lists.iter().filter(|list| list["action"]["taken"] == "filter").collect();
    // That of HTTP+SSE comes on a stream, which is a record of its own.
    assert!(filtered.len() + 2 >= field.clients().len(), "{lists:#?}");
    for list in filtered {
        assert_eq!(list["action"]["policy"], "nobody-deletes", "{list}");
        assert_eq!(
            list["mcp"]["tools_listed"],
            json!(["delete_part", "find_part"]),
            "the record has what the server said"
        );
    }
}

#[test]
fn a_hidden_tool_is_refused_when_called_and_a_redacted_argument_arrives_redacted() {
    let Some((field, proxy)) = field() else { return };
    for (kind, python, url) in [
        ("sse", &field.peers.old, field.old.url("https", "/sse")),
        ("http", &field.peers.old, field.old.url("https", "/mcp")),
        ("websocket", &field.peers.old, field.old.url("wss", "/ws")),
        ("newest", &field.peers.newest, field.newest.url("https", "/mcp")),
    ] {
        let mut command = Command::new(python);
        command.arg(script("policies.py")).args([kind, &url]).env("SSL_CERT_FILE", field.trusted(Some(&proxy)));
        for variable in ["HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(variable).env_remove(variable.to_lowercase());
        }
        command.env_remove("https_proxy").env("HTTPS_PROXY", format!("http://{}", proxy.address));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (got, refused) = said.split_once('\n').unwrap_or((&said, ""));
        let got: Value = serde_json::from_str(got)
            .unwrap_or_else(|e| panic!("{kind}: {e}: {said}{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(got["tools"], json!(["find_part"]), "{kind}");
        assert_eq!(got["text"], "card [redacted:payment-cards] lies on shelf 4", "{kind}");
        // Over HTTP+SSE this SDK logs the status, and waits on.
        let told = if kind == "sse" { "" } else { "Nobody deletes parts." };
        assert!(!refused.starts_with("called") && refused.contains(told), "{kind}: {said}");
    }
    proxy.stop();
    let redacted = field.told("tools/call").into_iter().filter(|call| call["action"]["taken"] == "redact").count();
    assert_eq!(redacted, 4, "{:#?}", field.told("tools/call"));
}
