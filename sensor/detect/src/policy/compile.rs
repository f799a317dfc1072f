//! From `[[policy]]` and `[[group]]` as written to what is held against traffic, or to every fault in them.

use super::condition::{ArgumentTest, Condition, Glob, Group};
use super::decision::PolicyId;
use super::file::{Many, RawAct, RawArgument, RawGroup, RawMessage, RawPolicy, RawStage, RawWhen};
use super::subject::{Classes, Stage};
use super::{MAX_POLICIES, Policies, Reach, Rule, actions, template};
use crate::dlp::{ProfileSet, Profiles};
use crate::scope::{Cidr, HostPattern};
use crate::{Action, Confidence};
use mcp::OAuthStage;
use net::{Direction, Timestamp};
use regex_automata::meta::Regex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;

/// Most values of one condition.
const MAX_VALUES: usize = 10_000;
/// Most tests of arguments in all policies together.
const MAX_ARGUMENTS: usize = 1024;
/// Largest compiled expression of such a test, in bytes.
const MAX_REGEX: usize = 1 << 20;
/// How deep `not` may stand in `not`.
const MAX_NOT: usize = 4;

/// Where it is, what is wrong, and what would do.
pub(crate) type Fault = (Range<usize>, String, &'static str);

/// Compiles the policies of all files, in their order.
pub(crate) struct Compiler<'p> {
    profiles: &'p Profiles,
    signatures: &'p dyn Fn(&str) -> bool,
    groups: BTreeMap<String, Arc<Group>>,
    policies: Policies,
}

type Of<T> = Result<T, Fault>;

fn fault<T>(at: &Range<usize>, message: impl Into<String>, help: &'static str) -> Of<T> {
    Err((at.clone(), message.into(), help))
}

impl<'p> Compiler<'p> {
    /// `signatures` says whether any signature or structure signal fits a glob.
    pub(crate) fn new(profiles: &'p Profiles, signatures: &'p dyn Fn(&str) -> bool) -> Self {
        Self { profiles, signatures, groups: BTreeMap::new(), policies: Policies::default() }
    }

    /// Adds a group. All groups come before the first policy.
    pub(crate) fn group(&mut self, raw: RawGroup, faults: &mut Vec<Fault>) {
        let id = raw.id.get_ref().clone();
        if self.groups.contains_key(&id) {
            faults.push((
                raw.id.span(),
                "this group is there already".to_owned(),
                "write all of its members in one place",
            ));
        }
        let mut group = Group { id: id.as_str().into(), ..Group::default() };
        for user in raw.users {
            match glob(&user, true) {
                Ok(user) => group.users.push(user),
                Err(fault) => faults.push(fault),
            }
        }
        for client in raw.clients {
            match Cidr::parse(client.get_ref()) {
                Ok(client_net) => group.clients.push(client_net),
                Err(message) => faults.push((client.span(), message, "")),
            }
        }
        self.groups.insert(id, Arc::new(group));
    }

    /// Adds a policy.
    pub(crate) fn policy(&mut self, raw: RawPolicy, file: &str, line: u32, faults: &mut Vec<Fault>) {
        if !raw.enabled {
            return;
        }
        if self.policies.rules.len() >= MAX_POLICIES {
            faults.push((
                raw.id.span(),
                format!("over {MAX_POLICIES} policies"),
                "put what is alike into one, with lists",
            ));
            return;
        }
        match self.rule(raw, file, line) {
            Ok(rule) => {
                let needs = &mut self.policies.needs;
                let (mut dlp, mut arguments) = (false, false);
                walk(&rule.conditions, &mut |condition| {
                    needs.oauth |= condition.is_of_oauth();
                    needs.provider |= matches!(condition, Condition::Provider(..));
                    dlp |= matches!(condition, Condition::Dlp(..));
                    arguments |= matches!(condition, Condition::Arguments(..));
                    needs.tool_classes |= matches!(condition, Condition::ToolClass(_));
                });
                let way = rule.way();
                needs.requests |= arguments || dlp && way != Some(Direction::ToClient);
                needs.answers |= dlp && way != Some(Direction::ToServer);
                if rule.log_payload.is_some() {
                    needs.logs = true;
                    needs.requests |= way != Some(Direction::ToClient);
                    needs.answers |= way != Some(Direction::ToServer);
                }
                let profiles = rule.all_profiles();
                for (dir, wanted) in
                    [Direction::ToServer, Direction::ToClient].into_iter().zip(&mut self.policies.wanted)
                {
                    if way.is_none_or(|way| way == dir) {
                        *wanted = wanted.union(profiles);
                    }
                }
                let stops = rule.action.interferes() && !rule.dry_run;
                needs.acts_on_answers |= stops && rule.acts_on_answers();
                self.policies.rules.push(rule);
            }
            Err(fault) => faults.push(fault),
        }
    }

    /// All of them.
    pub(crate) fn finish(self) -> Policies {
        self.policies
    }

    fn rule(&mut self, raw: RawPolicy, file: &str, line: u32) -> Of<Rule> {
        let at = raw.id.span();
        if self.policies.rules.iter().any(|rule| rule.id == raw.id.get_ref().as_str()) {
            return fault(&at, "this id is taken by another policy", "ids are unique over all files");
        }
        let mut conditions = Vec::new();
        self.conditions(raw.when, &mut conditions, 0)?;
        // What is known first is asked first.
        conditions.sort_by_key(Condition::stage);
        let act = *raw.action.get_ref();
        let has = |wanted: fn(&Condition) -> bool| conditions.iter().any(wanted);
        let at_action = raw.action.span();
        if act == RawAct::Redirect && raw.redirect_to.is_none() {
            return fault(&at_action, "`redirect` needs a place to lead to", "add redirect_to = \"https://…\"");
        }
        if act != RawAct::Redirect
            && let Some(to) = &raw.redirect_to
        {
            return fault(
                &to.span(),
                "only `redirect` leads elsewhere",
                "take redirect_to out, or write action = \"redirect\"",
            );
        }
        if act == RawAct::Redact && !has(|c| matches!(c, Condition::Dlp(..))) {
            return fault(
                &at_action,
                "`redact` without a profile of data",
                "name what is to be redacted: dlp = [\"…\"] in when",
            );
        }
        if act == RawAct::Filter && !has(|c| matches!(c, Condition::Tool(_) | Condition::ToolClass(_))) {
            return fault(
                &at_action,
                "`filter` without tools",
                "name the tools to be hidden: tool = [\"…\"] or tool_class = \"destructive\" in when",
            );
        }
        let redirect_to = match &raw.redirect_to {
            Some(to) => Some(checked(to, actions::location)?),
            None => None,
        };
        let request_access = match &raw.request_access {
            Some(to) => Some(checked(to, actions::location)?),
            None => None,
        };
        let known = |name: &str| match name {
            "policy" => Some(raw.id.get_ref().clone()),
            "owner" => Some(raw.owner.clone()),
            "reason" => Some(raw.reason.clone()),
            "ticket" => Some(raw.ticket.clone()),
            "use" => Some(redirect_to.as_deref().unwrap_or_default().to_owned()),
            "request_access" => Some(request_access.as_deref().unwrap_or_default().to_owned()),
            _ => None,
        };
        let message = match &raw.message {
            Some(text) => Some(template::prepare(&checked(text, actions::message)?, &known).into()),
            None => None,
        };
        let expires = match &raw.expires {
            Some(date) => Some(instant(date)?),
            None => None,
        };
        let named = has(|c| matches!(c, Condition::Host(..) | Condition::Uri(_)));
        let stage = conditions.iter().map(Condition::stage).max().unwrap_or(Stage::Whole);
        let reach = match stage {
            Stage::Connect if named => Reach::Host,
            Stage::Head if named => Reach::Request,
            _ => Reach::Mcp,
        };
        Ok(Rule {
            id: PolicyId::from(raw.id.get_ref().as_str()),
            description: raw.description,
            action: match act {
                RawAct::Allow => Action::Allow,
                RawAct::Log => Action::Log,
                RawAct::Block => Action::Block,
                RawAct::Redirect => Action::Redirect,
                RawAct::Redact => Action::Redact,
                RawAct::Filter => Action::Filter,
            },
            redirect_to,
            message,
            request_access,
            dry_run: raw.dry_run,
            severity: raw.severity,
            log_payload: raw.log_payload,
            expires,
            owner: raw.owner,
            reason: raw.reason,
            ticket: raw.ticket,
            reach,
            file: file.to_owned(),
            line,
            conditions,
        })
    }

    fn conditions(&mut self, when: RawWhen, to: &mut Vec<Condition>, depth: usize) -> Of<()> {
        let before = to.len();
        if let Some(all) = each(when.classification)? {
            let classes = all.iter().fold(Classes::default(), |classes, one| classes.with(*one.get_ref()));
            to.push(Condition::Classification(classes, joined(all.iter().map(|one| one.get_ref().word()))));
        }
        if let Some(all) = each(when.confidence)? {
            to.push(Condition::Confidence(all.into_iter().map(Spanned::into_inner).collect()));
        }
        if let Some(all) = each(when.severity)? {
            to.push(Condition::Severity(all.into_iter().map(Spanned::into_inner).collect()));
        }
        if let Some(all) = each(when.signature)? {
            if let Some(unknown) = all.iter().find(|one| !(self.signatures)(one.get_ref())) {
                return fault(
                    &unknown.span(),
                    "no signature or signal of that id",
                    "`rules list` names them; `*` stands for any run",
                );
            }
            to.push(Condition::Signature(globs(&all, false)?));
        }
        if let Some(all) = each(when.host)? {
            let shown = joined(all.iter().map(|one| one.get_ref().as_str()));
            to.push(Condition::Host(hosts(&all)?, shown));
        }
        if let Some(all) = each(when.port)? {
            to.push(Condition::Port(all.into_iter().map(Spanned::into_inner).collect()));
        }
        for (list, make) in [(when.path, Condition::Path as fn(Vec<Glob>) -> Condition), (when.uri, Condition::Uri)] {
            let Some(all) = each(list)? else { continue };
            let is_path = matches!(make(Vec::new()), Condition::Path(_));
            for one in &all {
                let text = one.get_ref();
                if text.contains('?') {
                    return fault(
                        &one.span(),
                        "a question mark",
                        "paths are seen without their query; `*` stands for any run",
                    );
                }
                if is_path && !text.starts_with(['/', '*']) {
                    return fault(
                        &one.span(),
                        "a path that does not begin with a slash",
                        "write one like /mcp or */mcp",
                    );
                }
            }
            to.push(make(globs(&all, true)?));
        }
        for (list, nocase, make) in [
            (when.method, false, Condition::Method as fn(Vec<Glob>) -> Condition),
            (when.tool, false, Condition::Tool),
            (when.resource, false, Condition::Resource),
            (when.prompt, false, Condition::Prompt),
            (when.mcp_client, true, Condition::McpClient),
            (when.mcp_server, true, Condition::McpServer),
            (when.revision, false, Condition::Revision),
            (when.user, true, Condition::User),
        ] {
            if let Some(all) = each(list)? {
                to.push(make(globs(&all, nocase)?));
            }
        }
        if let Some(all) = each(when.tool_class)? {
            to.push(Condition::ToolClass(all.iter().map(|one| (*one.get_ref()).into()).collect()));
        }
        if let Some(all) = each(when.group)? {
            let mut groups = Vec::new();
            for one in &all {
                let Some(group) = self.groups.get(one.get_ref()) else {
                    return fault(&one.span(), "no such group", "write [[group]] with id, users and clients");
                };
                groups.push(Arc::clone(group));
            }
            to.push(Condition::Group(groups));
        }
        if let Some(all) = each(when.client)? {
            let mut nets = Vec::new();
            for one in &all {
                nets.push(Cidr::parse(one.get_ref()).map_err(|message| (one.span(), message, ""))?);
            }
            to.push(Condition::Client(nets, joined(all.iter().map(|one| one.get_ref().as_str()))));
        }
        if let Some(all) = each(when.direction)? {
            to.push(Condition::Direction(all.iter().map(|one| one.get_ref().word()).collect()));
        }
        if let Some(all) = each(when.message)? {
            let dir = |one: &Spanned<RawMessage>| match one.get_ref() {
                RawMessage::Request => Direction::ToServer,
                RawMessage::Answer => Direction::ToClient,
            };
            to.push(Condition::Message(all.iter().map(dir).collect()));
        }
        if let Some(all) = each(when.dlp)? {
            let mut set = ProfileSet::EMPTY;
            for one in &all {
                let Some(number) = self.profiles.index_of(one.get_ref()) else {
                    return fault(
                        &one.span(),
                        "no profile of that id",
                        "`rules list` names them; write one with [[dlp]]",
                    );
                };
                set.insert(number);
            }
            to.push(Condition::Dlp(set, joined(all.iter().map(|one| one.get_ref().as_str()))));
        }
        if let Some(all) = each(when.arguments)? {
            let (mut numbers, mut shown) = (Vec::new(), Vec::new());
            for one in &all {
                let test = argument(one)?;
                shown.push(test.shown.to_string());
                let Some(number) =
                    u16::try_from(self.policies.arguments.len()).ok().filter(|n| usize::from(*n) < MAX_ARGUMENTS)
                else {
                    return fault(
                        &one.span(),
                        format!("over {MAX_ARGUMENTS} tests of arguments"),
                        "use `in` for many values",
                    );
                };
                numbers.push(number);
                self.policies.arguments.push(test);
            }
            to.push(Condition::Arguments(numbers, joined(shown.iter().map(String::as_str))));
        }
        if let Some(all) = each(when.provider)? {
            let shown = joined(all.iter().map(|one| one.get_ref().as_str()));
            to.push(Condition::Provider(hosts(&all)?, shown));
        }
        if let Some(all) = each(when.oauth)? {
            let stage = |one: &Spanned<RawStage>| match one.get_ref() {
                RawStage::Metadata => OAuthStage::Metadata,
                RawStage::Registration => OAuthStage::Registration,
                RawStage::Authorization => OAuthStage::Authorization,
                RawStage::Token => OAuthStage::Token,
            };
            to.push(Condition::OAuth(all.iter().map(stage).collect()));
        }
        for (list, make) in [
            (when.resource_server, Condition::ResourceServer as fn(Vec<HostPattern>, Box<str>) -> Condition),
            (when.authorization_server, Condition::AuthorizationServer),
        ] {
            if let Some(all) = each(list)? {
                let shown = joined(all.iter().map(|one| one.get_ref().as_str()));
                to.push(make(hosts(&all)?, shown));
            }
        }
        if let Some(all) = each(when.client_name)? {
            to.push(Condition::ClientName(globs(&all, true)?));
        }
        to.extend(when.inner_tools_incomplete.map(Condition::InnerIncomplete));
        to.extend(when.header_mismatch.map(Condition::HeaderMismatch));
        if let Some(not) = when.not {
            if depth >= MAX_NOT {
                return fault(&(0..0), format!("`not` in `not`, over {MAX_NOT} times"), "say it the other way round");
            }
            let mut all = Vec::new();
            self.conditions(*not, &mut all, depth + 1)?;
            to.push(Condition::Not(all));
        }
        // An empty table met by everything is what nobody means inside of `not`.
        if depth > 0 && to.len() == before {
            return fault(&(0..0), "an empty `not`", "take it out: nothing is ever not nothing");
        }
        Ok(())
    }
}

impl Rule {
    /// The way that messages must go, where a condition says so.
    fn way(&self) -> Option<Direction> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Message(dirs) => match dirs.as_slice() {
                [dir] => Some(*dir),
                _ => None,
            },
            _ => None,
        })
    }

    /// Whether it may change or stop what comes back.
    pub fn acts_on_answers(&self) -> bool {
        let mut dlp = false;
        walk(&self.conditions, &mut |condition| dlp |= matches!(condition, Condition::Dlp(..)));
        self.action == Action::Filter
            || (dlp || self.way() == Some(Direction::ToClient)) && self.way() != Some(Direction::ToServer)
    }

    /// Whether it takes data out of what goes to servers.
    pub fn redacts_requests(&self) -> bool {
        self.action == Action::Redact && self.way() != Some(Direction::ToClient)
    }

    /// The profiles that it is about, without those under `not`.
    pub fn profiles(&self) -> ProfileSet {
        let mut all = ProfileSet::default();
        for condition in &self.conditions {
            if let Condition::Dlp(set, ..) = condition {
                all = all.union(*set);
            }
        }
        all
    }

    /// Those too.
    fn all_profiles(&self) -> ProfileSet {
        let mut all = ProfileSet::default();
        walk(&self.conditions, &mut |condition| {
            if let Condition::Dlp(set, ..) = condition {
                all = all.union(*set);
            }
        });
        all
    }

    /// Whether whatever matches `other` matches this, as far as can be told.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.expires.is_none()
            && (self.reach >= other.reach)
            && self.conditions.iter().all(|mine| other.conditions.iter().any(|theirs| mine.covers(theirs)))
    }
}

impl Policies {
    /// What is odd about them: those that never match, and those that contradict. With the file and line of each.
    pub fn warnings(&self, now: Timestamp) -> Vec<(String, u32, String)> {
        let mut found = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let mut warn =
                |text: String| found.push((rule.file.clone(), rule.line, format!("policy {}: {text}", rule.id)));
            if let Some(expires) = rule.expires.filter(|expires| *expires <= now) {
                warn(format!("expired on {}; what it let through is judged by others again", day_of(expires)));
            }
            let before = self.rules.get(..at).unwrap_or_default();
            if let Some(first) = before.iter().find(|first| first.covers(rule)) {
                let same = first.action == rule.action;
                let why = if same { "which says the same" } else { "which says otherwise" };
                warn(format!("never matches: {} at {}:{} comes first, {why}", first.id, first.file, first.line));
            }
            if rule.log_payload.is_some() && rule.reach == Reach::Host && rule.action.stops() && !rule.dry_run {
                warn("log_payload has nothing to log in the proxy: the host is stopped before anything is said".into());
            }
            if let Some(why) = rule.contradiction() {
                warn(format!("never matches: {why}"));
            }
        }
        found
    }
}

impl Rule {
    /// Why it can never match, where its conditions exclude one another.
    fn contradiction(&self) -> Option<&'static str> {
        use crate::Classification as C;
        let class = self.conditions.iter().find_map(|c| match c {
            Condition::Classification(classes, _) => Some(*classes),
            _ => None,
        });
        let confidence = self.conditions.iter().find_map(|c| match c {
            Condition::Confidence(all) => Some(all.as_slice()),
            _ => None,
        });
        let only = |class: Option<Classes>, wanted: C| class == Some(Classes::from(wanted));
        let possible = |all: &[Confidence]| all.iter().all(|c| *c == Confidence::Possible);
        let kinds = |wanted: fn(&Condition) -> bool| self.conditions.iter().any(wanted);
        let tool = kinds(|c| matches!(c, Condition::Tool(_) | Condition::ToolClass(_)));
        let (resource, prompt) =
            (kinds(|c| matches!(c, Condition::Resource(_))), kinds(|c| matches!(c, Condition::Prompt(_))));
        match () {
            () if only(class, C::Shadow) && confidence.is_some_and(possible) => {
                Some("what is only possible is `unknown`, never `shadow`")
            }
            () if only(class, C::Unknown) && confidence.is_some_and(|all| !all.contains(&Confidence::Possible)) => {
                Some("what is likely or confirmed is never `unknown`")
            }
            () if usize::from(tool) + usize::from(resource) + usize::from(prompt) > 1 => {
                Some("one message is about a tool, a resource or a prompt, never two of these")
            }
            () => None,
        }
    }
}

fn walk(all: &[Condition], then: &mut dyn FnMut(&Condition)) {
    for condition in all {
        then(condition);
        if let Condition::Not(inner) = condition {
            walk(inner, then);
        }
    }
}

/// The values of a condition, which are at least one.
fn each<T>(many: Option<Many<T>>) -> Of<Option<Vec<Spanned<T>>>> {
    let Some(Many(all)) = many else { return Ok(None) };
    match all.get(MAX_VALUES) {
        Some(beyond) => {
            fault(&beyond.span(), format!("over {MAX_VALUES} values in one condition"), "use globs, or split it")
        }
        None if all.is_empty() => {
            fault(&(0..0), "an empty list in `when` is met by nothing", "take the condition out, or name a value")
        }
        None => Ok(Some(all)),
    }
}

fn glob(one: &Spanned<String>, nocase: bool) -> Of<Glob> {
    let text = one.get_ref();
    if text.is_empty() {
        return fault(&one.span(), "an empty text", "name something; `*` stands for any run of characters");
    }
    Ok(Glob { text: text.as_str().into(), nocase })
}

fn globs(all: &[Spanned<String>], nocase: bool) -> Of<Vec<Glob>> {
    all.iter().map(|one| glob(one, nocase)).collect()
}

fn hosts(all: &[Spanned<String>]) -> Of<Vec<HostPattern>> {
    all.iter().map(|one| HostPattern::parse(one.get_ref()).map_err(|message| (one.span(), message, ""))).collect()
}

fn joined<'t>(all: impl Iterator<Item = &'t str>) -> Box<str> {
    all.collect::<Vec<_>>().join(", ").into()
}

fn checked(text: &Spanned<String>, check: fn(&str) -> Result<&str, String>) -> Of<Arc<str>> {
    check(text.get_ref()).map(Into::into).map_err(|message| (text.span(), message, ""))
}

fn argument(one: &Spanned<RawArgument>) -> Of<ArgumentTest> {
    let raw = one.get_ref();
    let pointer = raw.pointer.get_ref();
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return fault(
            &raw.pointer.span(),
            "no JSON Pointer",
            "write one like /path or /options/0/name (RFC 6901), or \"\" for any value",
        );
    }
    if raw.regex.is_none() && raw.set.is_none() && raw.above.is_none() && raw.below.is_none() {
        return fault(&one.span(), "a test without a bound", "add regex, in, above or below");
    }
    let regex = match &raw.regex {
        None => None,
        Some(text) => {
            let config = Regex::config().nfa_size_limit(Some(MAX_REGEX)).hybrid_cache_capacity(MAX_REGEX);
            match Regex::builder().configure(config).build(text.get_ref()) {
                Ok(regex) => Some(regex),
                Err(error) => {
                    return fault(
                        &text.span(),
                        format!("no expression: {error}"),
                        "it is read as the expressions of signatures are",
                    );
                }
            }
        }
    };
    let mut shown = if pointer.is_empty() { "any value".to_owned() } else { pointer.clone() };
    for (word, text) in [
        (" ~ ", raw.regex.as_ref().map(|text| text.get_ref().clone())),
        (
            " in ",
            raw.set.as_ref().map(|set| set.0.iter().map(|one| one.get_ref().as_str()).collect::<Vec<_>>().join("|")),
        ),
        (" > ", raw.above.map(|n| n.to_string())),
        (" < ", raw.below.map(|n| n.to_string())),
    ] {
        if let Some(text) = text {
            shown.push_str(word);
            shown.push_str(&text);
        }
    }
    let set = raw.set.as_ref().map(|set| set.0.iter().map(|one| one.get_ref().as_str().into()).collect());
    let (above, below) = (raw.above, raw.below);
    Ok(ArgumentTest {
        pointer: if pointer.is_empty() { "".into() } else { format!("/params/arguments{pointer}").into() },
        regex,
        set,
        above,
        below,
        shown: shown.into(),
    })
}

/// The moment of a date (its beginning, UTC) or of a date with a time.
fn instant(written: &Spanned<toml::value::Datetime>) -> Of<Timestamp> {
    let value = written.get_ref();
    let moment = || {
        let date = value.date?;
        let month = time::Month::try_from(date.month).ok()?;
        let date = time::Date::from_calendar_date(i32::from(date.year), month, date.day).ok()?;
        let clock = match value.time {
            Some(at) => time::Time::from_hms(at.hour, at.minute, at.second.unwrap_or(0).min(59)).ok()?,
            None => time::Time::MIDNIGHT,
        };
        let minutes = match value.offset {
            Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
            _ => 0,
        };
        let seconds = date.with_time(clock).assume_utc().unix_timestamp() - 60 * minutes;
        // A date that is farther off than times reach is never.
        Some(Timestamp(seconds.saturating_mul(Timestamp::SECOND)))
    };
    match moment() {
        Some(at) => Ok(at),
        None => fault(&written.span(), "no date", "write one like 2027-01-31: from that day on it does not match"),
    }
}

/// The day of a time, as people write it.
pub(super) fn day_of(at: Timestamp) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(at.0.div_euclid(Timestamp::SECOND));
    date.map_or_else(|_| String::new(), |date| date.date().to_string())
}
