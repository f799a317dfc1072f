//! Traces of MCP where none is spoken: each a detection of its own category, no server, no session; and what resembles
//! them and is none.

use crate::support::{Run, capture_of};
use serde_json::Value;
use testkit::vector::Vector;

fn run(blocks: &str) -> Run {
    let head = "# X01: a trace\n# label: x\n# confidence: none\n# classification: none\n# why: x\n\n";
    Run::of(&capture_of(&Vector::parse(&format!("{head}{blocks}")).unwrap(), &[]).pcap())
}

/// A request with these further header lines and a body, and the answer as JSON where there is one.
fn exchange(start: &str, fields: &[&str], body: &str, answer: Option<(&str, &str)>) -> String {
    let length = if body.is_empty() { String::new() } else { format!("\nContent-Length: {}", body.len()) };
    let fields = [&[""], fields].concat().join("\n");
    let mut text = format!("=== request\n{start} HTTP/1.1\nHost: place.example{fields}{length}\n\n{body}\n=== end\n");
    if let Some((head, body)) = answer {
        let length = body.len();
        text = format!("{text}=== response\nHTTP/1.1 {head}\nContent-Length: {length}\n\n{body}\n=== end\n");
    }
    text
}

fn only(run: &Run) -> &Value {
    let detections = run.of_type("detection");
    assert_eq!(detections.len(), 1, "{detections:#?}");
    assert!(run.servers().is_empty() && run.of_type("session").is_empty());
    detections[0]
}

const CALL: &str = r#"{"model":"m","tools":[{"type":"mcp","server_label":"n","server_url":"https://u:hunter2@notes.example/mcp?k=hunter2","headers":{"x":"hunter2"},"require_approval":"never"}]}"#;
const JSON: &str = "Content-Type: application/json";

#[test]
fn a_model_call_that_names_servers_is_told_with_what_its_answer_says() {
    let alone = run(&exchange("POST /v1/responses", &[JSON], CALL, None));
    let detection = only(&alone);
    assert_eq!(detection["category"], "remote-mcp-by-provider");
    assert_eq!((&detection["confidence"], &detection["classification"]), (&"possible".into(), &"unknown".into()));
    let side = &detection["mcp"]["provider_side"];
    assert_eq!((&side["provider"], &side["api"]), (&"place.example".into(), &"openai".into()));
    let server = &side["servers"][0];
    assert_eq!(server["server_url"], "https://…@notes.example/mcp?k=…");
    assert_eq!((&server["credentials"], &server["require_approval"]), (&true.into(), &"never".into()));
    assert!(!alone.lines.join("").contains("hunter2"));

    let body = r#"{"output":[{"type":"mcp_list_tools","server_label":"n","tools":[{"name":"echo"}]},{"type":"mcp_call","id":"1","server_label":"n","name":"echo","arguments":"{}","output":"hunter2"}]}"#;
    let events = format!(
        "event: a\ndata: {}\n\nevent: b\ndata: {}\n\n",
        r#"{"type":"response.output_item.done","item":{"type":"mcp_list_tools","server_label":"n","tools":[{"name":"echo"}]}}"#,
        r#"{"type":"response.output_item.done","item":{"type":"mcp_call","id":"1","server_label":"n","name":"echo","output":"hunter2"}}"#,
    );
    for (head, body) in
        [("200 OK\nContent-Type: application/json", body), ("200 OK\nContent-Type: text/event-stream", events.as_str())]
    {
        let used = run(&exchange("POST /v1/responses", &[JSON], CALL, Some((head, body))));
        let detection = only(&used);
        assert_eq!(detection["category"], "remote-mcp-by-provider", "{head}");
        assert_eq!((&detection["confidence"], &detection["classification"]), (&"likely".into(), &"shadow".into()));
        let side = &detection["mcp"]["provider_side"];
        assert_eq!((&side["tools_listed"][0], &side["calls"][0]["tool"]), (&"echo".into(), &"echo".into()), "{head}");
        assert_eq!(side["calls"][0]["is_error"], false, "{head}");
        assert!(!used.lines.join("").contains("hunter2"));
    }
}

#[test]
fn ordinary_calls_of_models_say_nothing() {
    let functions = r#"{"model":"m","tools":[{"type":"function","function":{"name":"mcp"}}],"messages":[{"role":"user","content":"{\"type\":\"mcp\",\"server_url\":\"https://n.example\"}"}]}"#;
    let answer = r#"{"output":[{"type":"mcp_call","name":"echo"}],"choices":[]}"#;
    for body in [functions, r#"{"mcp_servers":[{"name":"n","url":"https://n.example"}]}"#] {
        let run = run(&exchange(
            "POST /v1/responses",
            &[JSON],
            body,
            Some(("200 OK\nContent-Type: application/json", answer)),
        ));
        assert!(run.of_type("detection").is_empty(), "{body}");
    }
}

#[test]
fn software_registries_and_links_are_told_and_what_resembles_them_is_not() {
    let npm = "User-Agent: npm/10.8.2 node/v20.20.2 linux x64";
    let uvx = r#"User-Agent: uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9","subcommand":["uvx"]}}"#;
    let browser = "Accept: text/html,application/xhtml+xml";
    let json = Some(("200 OK\nContent-Type: application/json", r#"{"a":1}"#));
    let html = Some(("200 OK\nContent-Type: text/html", "<html></html>"));
    let bytes = Some(("200 OK\nContent-Type: application/octet-stream", "PK"));
    let gone = Some(("404 Not Found\nContent-Type: application/json", "{}"));
    for (start, fields, answer, want) in [
        ("GET /@modelcontextprotocol%2fserver-memory", &[npm][..], json, Some("mcp-supply")),
        ("GET /@acme%2fnotes-mcp", &[npm], json, Some("mcp-supply")),
        ("GET /@acme%2fnotes-mcp", &[], json, None),
        ("GET /mcp-remote", &[browser], html, None),
        ("GET /mcp-remote", &["npm-command: exec"], json, Some("mcp-supply")),
        ("GET /mcp-remote", &[], json, None),
        ("GET /@modelcontextprotocol%2fsdk", &["npm-command: exec", npm], json, None),
        ("GET /npm/mcp-remote/-/mcp-remote-0.1.29.tgz", &[], bytes, Some("mcp-supply")),
        ("GET /group/notes-mcp/-/issues", &[], json, None),
        ("GET /react", &["npm-command: exec", npm], json, None),
        ("GET /simple/mcp-server-git/", &[], html, Some("mcp-supply")),
        ("GET /simple/mcp-server-git/", &[], gone, None),
        ("GET /simple/mcp-server-git/", &[browser], html, None),
        ("GET /simple/mcp-atlassian/", &[], html, None),
        ("GET /simple/mcp/", &[uvx], html, None),
        ("GET /simple/mcp-types/", &[uvx], html, None),
        ("GET /v2/mcp/postgres/manifests/latest", &[], json, Some("mcp-supply")),
        ("GET /v2/library/postgres/manifests/latest", &[], json, None),
        ("GET /a/notes.mcpb", &[browser], bytes, Some("mcp-supply")),
        ("GET /textures/wall.dxt", &[], bytes, None),
        ("GET /v0.1/servers?search=notes", &[], json, Some("mcp-registry")),
        ("GET /v0.1/servers?search=notes", &[browser], html, None),
        ("GET /v0/servers", &[], json, None),
        (
            "GET /go",
            &[browser],
            Some((
                "302 Found\nLocation: vscode:mcp/install?%7B%22name%22:%22n%22,%22command%22:%22npx%22,%22args%22:[%22-y%22,%22@a/n-mcp%22]%7D",
                "",
            )),
            Some("mcp-install"),
        ),
        ("GET /go", &[browser], Some(("302 Found\nLocation: vscode:extension/a.b?x=1", "")), None),
    ] {
        let run = run(&exchange(start, fields, "", answer));
        let got = run.of_type("detection").first().map(|d| d["category"].as_str().unwrap_or("none").to_owned());
        assert_eq!(got.as_deref(), want, "{start} {fields:?}: {:?}", run.signals());
        if want.is_some() {
            let detection = only(&run);
            assert_eq!(detection["confidence"], "possible", "{start}");
            assert!(detection["mcp"]["supply"]["kind"].is_string() || want == Some("mcp-registry"), "{start}");
        }
    }
}
