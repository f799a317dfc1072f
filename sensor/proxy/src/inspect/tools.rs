//! What tools say they do, across connections: a tool is listed on one, and called on another.

use super::conversations::{Conversations, Spot};
use foldhash::quality::RandomState;
use mcp::{Catalogue, ToolClass};
use net::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

/// Most tools of all servers; each takes some 32 bytes. Beyond, those of the server that was asked longest ago go.
const MAX_TOOLS: usize = 65_536;
/// Most of one server. Beyond, those that it offered before go: most of them are there no more.
const MAX_OF_ONE: usize = 2048;
/// How long they are remembered after the server last listed any, in nanoseconds.
const LIFE: i64 = 24 * 3600 * Timestamp::SECOND;

/// The tools of all servers, by hashes under secret keys.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    key: RandomState,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    servers: HashMap<u128, Server>,
    by_age: BTreeMap<u64, u128>,
    ages: u64,
    tools: usize,
}

#[derive(Debug, Default)]
struct Server {
    classes: HashMap<u64, ToolClass>,
    until: Timestamp,
    age: u64,
}

impl All {
    /// Lets go of the server that was asked longest ago.
    fn forget_one(&mut self) -> bool {
        let Some((_, oldest)) = self.by_age.pop_first() else { return false };
        let gone = self.servers.remove(&oldest).map_or(0, |server| server.classes.len());
        self.tools = self.tools.saturating_sub(gone);
        true
    }
}

impl Conversations {
    /// The server of a place: for messages of HTTP+SSE, that of the stream which led there.
    pub(super) fn server_of(&self, spot: &Spot<'_>, endpoint: Option<&[u8; 32]>, now: Timestamp) -> u128 {
        endpoint.and_then(|endpoint| self.stream_of(endpoint, now)).unwrap_or_else(|| self.key(spot))
    }

    /// A server listed tools. Gives whether others had to be forgotten.
    pub(super) fn learn_tools(&self, server: u128, listed: &Catalogue, now: Timestamp) -> bool {
        // Where a name is offered several times the worst counts.
        let mut worst: HashMap<u64, ToolClass> = HashMap::new();
        for tool in &listed.tools {
            let class = worst.entry(self.tools.key.hash_one(&tool.name)).or_default();
            *class = tool.class.max(*class);
        }
        let mut all = self.tools.all.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &mut *all;
        all.ages += 1;
        let known = all.servers.entry(server).or_default();
        all.by_age.remove(&std::mem::replace(&mut known.age, all.ages));
        all.by_age.insert(all.ages, server);
        known.until = now.plus(LIFE);
        let before = known.classes.len();
        let new = worst.keys().filter(|name| !known.classes.contains_key(*name)).count();
        let mut forgotten = before + new > MAX_OF_ONE;
        if forgotten {
            known.classes.clear();
        }
        known.classes.extend(worst);
        all.tools = all.tools.saturating_sub(before) + known.classes.len();
        while all.tools + all.servers.len() > MAX_TOOLS {
            forgotten |= all.forget_one();
        }
        forgotten
    }

    /// What a tool of a server says it does.
    pub(super) fn tool_class(&self, server: u128, tool: &str, now: Timestamp) -> ToolClass {
        let name = self.tools.key.hash_one(tool);
        let all = self.tools.all.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.servers.get(&server).filter(|known| known.until > now);
        known.and_then(|known| known.classes.get(&name)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::Offered;

    fn listed(tools: &[(&str, ToolClass)]) -> Catalogue {
        let offered =
            |(name, class): &(&str, ToolClass)| Offered { name: (*name).to_owned(), class: *class, digest: [0; 32] };
        Catalogue { tools: tools.iter().map(offered).collect(), rest: None }
    }

    #[test]
    fn a_tool_is_what_its_server_said_last_and_of_two_at_once_the_worse() {
        use ToolClass::{Destructive, Read, Unknown, Write};
        let conversations = Conversations::default();
        let at = |seconds: i64| Timestamp(seconds * Timestamp::SECOND);
        let here = conversations.server_of(&Spot::Path("x.example", 443, "/mcp"), None, at(0));
        let class = |tool: &str, now| conversations.tool_class(here, tool, now);
        assert_eq!(class("a", at(0)), Unknown);
        conversations.learn_tools(here, &listed(&[("a", Read), ("b", Write), ("a", Destructive)]), at(0));
        assert_eq!([class("a", at(1)), class("b", at(1)), class("c", at(1))], [Destructive, Write, Unknown]);
        conversations.learn_tools(here, &listed(&[("a", Read)]), at(5));
        assert_eq!([class("a", at(6)), class("b", at(6))], [Read, Write], "a page says nothing of others");
        assert_eq!(class("a", at(24 * 3600 + 6)), Unknown);
        let there = conversations.server_of(&Spot::Path("x.example", 443, "/other"), None, at(0));
        assert_eq!(conversations.tool_class(there, "a", at(6)), Unknown);
    }

    #[test]
    fn messages_of_http_and_sse_are_for_the_server_of_their_stream() {
        let (conversations, now) = (Conversations::default(), Timestamp(1));
        let (stream, post) = (Spot::Path("x.example", 443, "/sse"), Spot::Path("x.example", 443, "/messages"));
        conversations.learn_endpoint(&[7; 32], &stream, now);
        let of_stream = conversations.server_of(&stream, None, now);
        assert_eq!(conversations.server_of(&post, Some(&[7; 32]), now), of_stream);
        assert_ne!(conversations.server_of(&post, Some(&[8; 32]), now), of_stream);
    }

    #[test]
    fn no_server_can_make_more_be_remembered_than_there_is_room_for() {
        let (conversations, now) = (Conversations::default(), Timestamp(1));
        let names: Vec<String> = (0..512).map(|n| format!("t{n}")).collect();
        let tools: Vec<_> = names.iter().map(|name| (name.as_str(), ToolClass::Read)).collect();
        let page = listed(&tools);
        let mut forgotten = false;
        for server in 0..200 {
            forgotten |= conversations.learn_tools(server, &page, now);
        }
        for n in 0..40 {
            let more: Vec<String> = (0..512).map(|t| format!("{n}-{t}")).collect();
            let more: Vec<_> = more.iter().map(|name| (name.as_str(), ToolClass::Read)).collect();
            conversations.learn_tools(999, &listed(&more), now);
        }
        for server in 1000..100_000 {
            conversations.learn_tools(server, &Catalogue::default(), now);
        }
        conversations.learn_tools(5, &page, now);
        let all = conversations.tools.all.lock().unwrap();
        assert!(forgotten && all.tools + all.servers.len() <= MAX_TOOLS);
        assert!(all.servers.values().all(|server| server.classes.len() <= MAX_OF_ONE));
        assert_eq!(all.tools, all.servers.values().map(|server| server.classes.len()).sum::<usize>());
        assert_eq!(all.by_age.len(), all.servers.len());
        assert_eq!(all.servers[&5].classes.len(), 512);
    }
}
