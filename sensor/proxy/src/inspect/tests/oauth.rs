//! Steps of OAuth and calls of models: stopped for the server that they are about, over HTTP/1 and HTTP/2.

use super::*;
use http::header::LOCATION;

const VENDOR: &str = "mcp.vendor.example";
const LOGIN: &str = "login.vendor.example";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const REGISTER: &str = r#"{"redirect_uris":["http://127.0.0.1:1/cb"],"client_name":"Notes CLI"}"#;
const RESOURCE: &str = "resource=https%3A%2F%2Fmcp.vendor.example%2Fmcp";

fn bench_with(policies: &str, change: impl FnOnce(&mut RawScope)) -> Bench {
    let text = format!("[pack]\nid = \"p\"\nversion = \"1\"\n{policies}");
    let own = detect::rules::RuleText { file: "p.toml", text: &text, lists: &|_| Err("none".to_owned()) };
    let rules = detect::rules::compile(&[detect::rules::builtin().as_slice(), &[own]].concat()).unwrap();
    let servers = |name: &str| RawServers { servers: vec![RawServer::Name(name.to_owned())] };
    let mut scope =
        RawScope { denied: servers("denied.example"), sanctioned: servers("good.example"), ..RawScope::default() };
    change(&mut scope);
    let scope = detect::Scope::try_from(&scope).unwrap();
    bench_of(Arc::new(Generation { rules, scope, policy: detect::Policy::default() }))
}

fn policy(when: &str, rest: &str) -> String {
    format!("[[policy]]\nid = \"p\"\nwhen = {{ {when} }}\n{rest}\n")
}

/// One request, its verdict and the answer of ours to it, if it is stopped.
struct Ask<'b> {
    bench: &'b Bench,
    h2: bool,
}

impl Ask<'_> {
    fn parts(&self, method: Method, host: &str, path: &str, fields: &[(&str, &str)], body: &str) -> request::Parts {
        let len = body.len().to_string();
        let mut all = vec![("host", host)];
        all.extend_from_slice(fields);
        if !body.is_empty() && !self.h2 {
            all.push(("content-length", &len));
        }
        let mut parts = head(method, path, &all);
        if self.h2 {
            parts.version = Version::HTTP_2;
        }
        parts
    }

    fn say(&self, host: &str, parts: &request::Parts, body: &str) -> (Inspection, Verdict) {
        let (mut inspection, mut verdict) = self.bench.begin(host, parts);
        for piece in body.as_bytes().chunks(if self.h2 { 7 } else { usize::MAX }) {
            if matches!(verdict, Verdict::Act(_)) {
                break;
            }
            verdict = inspection.body(Direction::ToServer, piece);
        }
        if !matches!(verdict, Verdict::Act(_)) {
            verdict = inspection.end(Direction::ToServer, EndKind::Complete);
        }
        (inspection, verdict)
    }

    /// Status, `Location` and text of our answer; `None` where it passes.
    fn ask(
        &self,
        method: Method,
        host: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, String, String)> {
        let parts = self.parts(method, host, path, fields, body);
        let (mut inspection, verdict) = self.say(host, &parts, body);
        let Verdict::Act(ruling) = verdict else { return None };
        inspection.acted(&ruling, "none");
        let answer = crate::answer::ruling(&ruling, &parts);
        let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
        Some((answer.status().as_u16(), location, String::from_utf8(answer.body().to_vec()).unwrap()))
    }

    fn passes(
        &self,
        method: Method,
        host: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
        answers: (u16, &str),
    ) {
        let parts = self.parts(method, host, path, fields, body);
        let (mut inspection, verdict) = self.say(host, &parts, body);
        assert!(!matches!(verdict, Verdict::Act(_)), "{host}{path}: {verdict:?}");
        inspection.response(&answer(answers.0, "application/json"));
        inspection.body(Direction::ToClient, answers.1.as_bytes());
        inspection.end(Direction::ToClient, EndKind::Complete);
    }

    /// A client is challenged by the vendor and learns of its authorisation server.
    fn led(&self) {
        let parts = self.parts(Method::POST, VENDOR, "/mcp", &[JSON], "{}");
        let (mut inspection, _) = self.say(VENDOR, &parts, "{}");
        let metadata = "Bearer resource_metadata=\"https://mcp.vendor.example/.well-known/oauth-protected-resource\"";
        let mut challenge = answer(401, "application/json");
        challenge.headers.insert("www-authenticate", metadata.parse().unwrap());
        inspection.response(&challenge);
        inspection.end(Direction::ToClient, EndKind::Complete);
        let text =
            r#"{"resource":"https://mcp.vendor.example/mcp","authorization_servers":["https://login.vendor.example"]}"#;
        self.passes(Method::GET, VENDOR, "/.well-known/oauth-protected-resource", &[], "", (200, text));
    }
}

fn everywhere(bench: &Bench, then: impl Fn(&Ask<'_>)) {
    for h2 in [false, true] {
        then(&Ask { bench, h2 });
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

const BLOCK: &str = "action = \"block\"\nmessage = \"Not {host}.\"\nrequest_access = \"https://corp.example/ask\"";
const SAYS: &str = "Not mcp.vendor.example. (policy p) Ask for access at https://corp.example/ask.";

#[test]
fn a_registration_is_stopped_for_the_resource_that_led_there_and_no_other() {
    for (when, stopped) in [
        ("classification = \"shadow\", oauth = \"registration\"", true),
        ("oauth = [\"registration\", \"token\"], resource_server = \"*.vendor.example\"", true),
        ("authorization_server = \"login.vendor.example\", client_name = \"notes*\"", true),
        ("oauth = \"registration\", not = { client_name = \"corp *\" }", true),
        ("oauth = \"registration\", classification = \"sanctioned\"", false),
        ("oauth = \"token\"", false),
        ("oauth = \"registration\", resource_server = \"other.example\"", false),
    ] {
        everywhere(&bench_with(&policy(when, BLOCK), |_| ()), |client| {
            let register = |host| client.ask(Method::POST, host, "/register", &[JSON], REGISTER);
            assert_eq!(register("login.other.example"), None, "{when}");
            client.led();
            assert_eq!(register("login.other.example"), None, "{when}: an ordinary registration");
            let got = register(LOGIN);
            assert_eq!(got.is_some(), stopped, "{when}");
            if let Some((status, _, text)) = got {
                let text = json(&text);
                assert_eq!((status, &text["error"]), (403, &"access_denied".into()));
                assert_eq!(
                    (&text["error_description"], &text["error_uri"]),
                    (&SAYS.into(), &"https://corp.example/ask".into())
                );
            }
        });
    }
}

#[test]
fn an_authorisation_is_answered_as_its_client_understands() {
    let bench = bench_with(
        &policy(
            "oauth = [\"authorization\", \"token\"], classification = [\"shadow\", \"unknown\", \"denied\"]",
            BLOCK,
        ),
        |_| (),
    );
    everywhere(&bench, |client| {
        let asked = format!("/authorize?response_type=code&client_id=x&state=s3cr3t&{RESOURCE}");
        let (status, _, text) = client.ask(Method::GET, LOGIN, &asked, &[PAGE], "").unwrap();
        assert!(
            status == 403 && text.starts_with("<!doctype html>") && text.contains("Not mcp.vendor.example."),
            "{text}"
        );
        let (status, _, text) = client.ask(Method::GET, LOGIN, &asked, &[("accept", "*/*")], "").unwrap();
        assert_eq!((status, &json(&text)["error"]), (403, &"access_denied".into()));
        let token = format!("grant_type=authorization_code&code=s3cr3t&code_verifier=s3cr3t&{RESOURCE}");
        let (status, _, text) = client.ask(Method::POST, LOGIN, "/token", &[FORM], &token).unwrap();
        let text = json(&text);
        assert_eq!((status, &text["error"], &text["error_description"]), (400, &"invalid_target".into(), &SAYS.into()));
        let pushed = format!("response_type=code&client_id=x&{RESOURCE}");
        let (status, _, text) = client.ask(Method::POST, LOGIN, "/par", &[FORM], &pushed).unwrap();
        assert_eq!((status, &json(&text)["error"]), (400, &"invalid_target".into()));
        let denied =
            "/authorize?response_type=code&client_id=x&resource=https://good.example/&resource=https://denied.example/";
        assert!(client.ask(Method::GET, LOGIN, denied, &[PAGE], "").is_some(), "the gravest of several counts");
        for (method, host, path, fields, body) in [
            (Method::GET, LOGIN, "/authorize?response_type=code&client_id=x&state=s", &[PAGE][..], ""),
            (
                Method::GET,
                LOGIN,
                "/authorize?response_type=code&client_id=x&resource=https://graph.example/",
                &[PAGE],
                "",
            ),
            (
                Method::GET,
                LOGIN,
                "/authorize?response_type=code&client_id=x&resource=https://good.example/mcp",
                &[PAGE],
                "",
            ),
            (Method::POST, LOGIN, "/token", &[FORM], "grant_type=refresh_token&refresh_token=x&client_id=y"),
            (Method::POST, "shop.example", "/login", &[FORM], "user=ana&password=x&resource=https://a.example/mcp"),
            (Method::POST, "shop.example", "/clients", &[JSON], r#"{"redirect_uris":["https://shop.example/cb"]}"#),
        ] {
            assert_eq!(client.ask(method, host, path, fields, body), None, "{host}{path} {body}");
        }
    });
    let told = bench.detections();
    let oauth = told.iter().find(|made| made["mcp"]["oauth"]["stage"] == "token").unwrap();
    assert_eq!((&oauth["action"]["taken"], &oauth["classification"]), (&"block".into(), &"unknown".into()));
    assert_eq!(oauth["mcp"]["oauth"]["resources"][0], "https://mcp.vendor.example/mcp");
    assert_eq!(oauth["mcp"]["oauth"]["authorization_server"], LOGIN);
    assert!(!format!("{told:?}").contains("s3cr3t"));
}

#[test]
fn people_are_led_to_the_portal_and_programs_are_told_of_it() {
    let rest = "action = \"redirect\"\nredirect_to = \"https://mcp.corp.example/mcp\"";
    everywhere(
        &bench_with(
            &policy("classification = \"shadow\", oauth = [\"registration\", \"authorization\"]", rest),
            |_| (),
        ),
        |client| {
            client.led();
            let asked = format!("/authorize?response_type=code&client_id=x&{RESOURCE}");
            let (status, location, _) = client.ask(Method::GET, LOGIN, &asked, &[PAGE], "").unwrap();
            assert_eq!((status, location.as_str()), (307, "https://mcp.corp.example/mcp"));
            let (status, location, text) = client.ask(Method::POST, LOGIN, "/register", &[JSON], REGISTER).unwrap();
            let said = json(&text)["error_description"].as_str().unwrap().to_owned();
            assert!(
                status == 403 && location.is_empty() && said.contains("Use https://mcp.corp.example/mcp instead."),
                "{text}"
            );
        },
    );
}

#[test]
fn a_registered_client_is_known_again_by_its_id() {
    let bench = bench_with(&policy("oauth = \"token\"", BLOCK), |_| ());
    everywhere(&bench, |client| {
        client.led();
        let given = r#"{"client_id":"client-17","client_secret":"s3cr3t"}"#;
        client.passes(Method::POST, LOGIN, "/register", &[JSON], REGISTER, (201, given));
        let token = |id: &str| format!("grant_type=authorization_code&code=c&client_id={id}");
        assert!(client.ask(Method::POST, LOGIN, "/token", &[FORM], &token("client-17")).is_some());
        assert_eq!(client.ask(Method::POST, LOGIN, "/token", &[FORM], &token("client-18")), None);
    });
}

#[test]
fn metadata_of_an_mcp_server_can_be_refused() {
    let bench = bench_with(&policy("oauth = \"metadata\", classification = [\"shadow\", \"unknown\"]", BLOCK), |_| ());
    everywhere(&bench, |client| {
        let ask = |host, path| client.ask(Method::GET, host, path, &[("accept", "*/*")], "");
        let (status, _, text) = ask(VENDOR, "/.well-known/oauth-protected-resource/mcp").unwrap();
        assert_eq!((status, &json(&text)["error"]), (403, &"access_denied".into()));
        assert_eq!(ask("pds.example", "/.well-known/oauth-protected-resource"), None);
        assert_eq!(ask(LOGIN, "/.well-known/openid-configuration"), None);
        assert_eq!(ask("good.example", "/.well-known/oauth-protected-resource/mcp"), None);
    });
}

const OPENAI: &str = r#"{"model":"m","tools":[{"type":"mcp","server_label":"n","server_url":"https://mcp.vendor.example/mcp","authorization":"s3cr3t"}],"input":"x"}"#;
const ANTHROPIC: &str = r#"{"model":"m","mcp_servers":[{"type":"url","name":"n","url":"https://mcp.vendor.example/mcp","authorization_token":"s3cr3t"}],"messages":[]}"#;
const GEMINI: &str =
    r#"{"tools":[{"type":"mcp_server","name":"n","url":"https://mcp.vendor.example/mcp"}],"input":"x"}"#;
const PLAIN: &str =
    r#"{"model":"m","tools":[{"type":"function","name":"mcp"}],"messages":[{"role":"user","content":"mcp_servers"}]}"#;

#[test]
fn a_model_call_that_names_a_server_is_stopped_in_the_words_of_its_interface() {
    let bench = bench_with(&policy("provider = \"*.vendor.example\"", BLOCK), |_| ());
    everywhere(&bench, |client| {
        for (host, path, body, pointer, want) in [
            ("api.openai.com", "/v1/responses", OPENAI, "/error/code", "blocked_by_policy"),
            ("api.anthropic.com", "/v1/messages", ANTHROPIC, "/error/type", "permission_error"),
            ("generativelanguage.googleapis.com", "/v1beta/interactions", GEMINI, "/error/status", "PERMISSION_DENIED"),
        ] {
            let (status, _, text) = client.ask(Method::POST, host, path, &[JSON], body).unwrap();
            let text = json(&text);
            assert_eq!((status, text.pointer(pointer).unwrap()), (403, &want.into()), "{host}");
            assert_eq!(text["error"]["message"], SAYS, "{host}");
            assert_eq!(client.ask(Method::POST, host, path, &[JSON], PLAIN), None, "{host}");
            let other = body.replace("mcp.vendor.example", "mcp.other.example");
            assert_eq!(client.ask(Method::POST, host, path, &[JSON], &other), None, "{host}");
        }
        assert_eq!(
            json(&client.ask(Method::POST, "x.example", "/v1/messages", &[JSON], ANTHROPIC).unwrap().2)["type"],
            "error"
        );
    });
    let told = bench.detections();
    assert!(
        told.iter().any(|made| made["action"]["taken"] == "block" && made["mcp"]["provider_side"]["api"] == "openai")
    );
    assert!(!format!("{told:?}").contains("s3cr3t"));
}

#[test]
fn a_denied_server_is_denied_through_a_provider_and_the_gateway_says_what_other_calls_mean() {
    let rules = policy(
        "provider = \"*\", classification = [\"denied\", \"sanctioned_direct\", \"shadow\"]",
        "action = \"block\"",
    );
    let rules = rules.replace("provider = \"*\"", "provider = [\"*.example\", \"*.com\"]");
    let with = bench_with(&rules, |scope| scope.llm_gateway.hosts = vec!["ai.corp.example".into()]);
    everywhere(&with, |client| {
        let call = |host: &str, server: &str| {
            let body = ANTHROPIC.replace("mcp.vendor.example", server);
            client
                .ask(Method::POST, host, "/v1/messages", &[JSON], &body)
                .map(|(_, _, text)| json(&text)["error"]["message"].as_str().unwrap().to_owned())
        };
        let says = |text: &str| Some(format!("Blocked: {text} (policy p)"));
        assert_eq!(call("ai.corp.example", "mcp.vendor.example"), None);
        assert_eq!(call("ai.corp.example", "denied.example"), says("denied.example is a denied MCP server."));
        assert_eq!(
            call("api.anthropic.com", "mcp.vendor.example"),
            says("api.anthropic.com is to be called through the company gateway for models.")
        );
        assert_eq!(
            call("llm.other.example", "mcp.vendor.example"),
            says("mcp.vendor.example is not an approved MCP server.")
        );
        assert_eq!(client.ask(Method::POST, "api.anthropic.com", "/v1/messages", &[JSON], PLAIN), None);
    });
    let records = with.records();
    let told: Vec<_> = records.iter().filter(|record| record["code"] == "llm_gateway_bypassed").collect();
    assert_eq!(told.len(), 1, "once for a client and a provider: {told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("10.1.2.3 calls api.anthropic.com"));
}

#[test]
fn dry_runs_let_all_of_it_pass_and_are_told() {
    let bench = bench_with(&policy("oauth = \"authorization\"", "action = \"block\"\ndry_run = true"), |_| ());
    everywhere(&bench, |client| {
        let asked = format!("/authorize?response_type=code&client_id=x&{RESOURCE}");
        client.passes(Method::GET, LOGIN, &asked, &[PAGE], "", (302, ""));
    });
    let told = bench.detections();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told.iter().all(|made| made["action"]["dry_run"] == true && made["action"]["decided"] == "block"));
}
