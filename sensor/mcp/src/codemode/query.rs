//! Which tools take a program.

use crate::path::query_of;

/// The members of the arguments that hold the program, as the servers we know call them.
pub const PROGRAM_MEMBERS: [&str; 6] = ["code", "script", "program", "source", "javascript", "typescript"];

/// Most bytes of an argument that are looked at to tell whether it is a program.
const LOOKED_AT: usize = 4096;

/// Whether a tool takes a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeMode {
    /// It does not.
    No,
    /// It does where one of [`PROGRAM_MEMBERS`] [looks like one](looks_like_program).
    Perhaps,
    /// It does.
    Yes,
}

/// Whether a tool of this name takes a program; `two_tools` says that the server was asked to [show two tools
/// alone](shows_two_tools).
///
/// `portal_codemode_search` and its like and `code` do; `search` and `execute` do on a server asked to show these two
/// alone, and perhaps elsewhere.
pub fn code_mode(tool: &str, two_tools: bool) -> CodeMode {
    match tool {
        "portal_codemode_search" | "portal_codemode_execute" | "codemode" | "code" => CodeMode::Yes,
        "search" | "execute" | "portal_query_tools" | "portal_execute" => {
            if two_tools {
                CodeMode::Yes
            } else {
                CodeMode::Perhaps
            }
        }
        "execute_code" | "run_code" | "codemode_search" | "codemode_execute" => CodeMode::Perhaps,
        _ => CodeMode::No,
    }
}

/// Whether a request target asks its server to show `search` and `execute` in place of all tools:
/// `codemode=search_and_execute` in its query, or `optimize_context=search_and_execute` as portals once called it.
pub fn shows_two_tools(target: &str) -> bool {
    let Some(query) = query_of(target) else { return false };
    query.split('&').filter_map(|pair| pair.split_once('=')).any(|(name, value)| {
        matches_decoded(value, "search_and_execute")
            && (matches_decoded(name, "codemode") || matches_decoded(name, "optimize_context"))
    })
}

/// Whether a piece of a query says `want` once its percent codes are undone.
fn matches_decoded(raw: &str, want: &str) -> bool {
    let mut bytes = raw.bytes();
    let mut next = || -> Option<u8> {
        match bytes.next()? {
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                let code = digit(bytes.next()).zip(digit(bytes.next())).map(|(high, low)| high * 16 + low);
                // A broken code is no letter of ours.
                Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(b'%'))
            }
            b => Some(b),
        }
    };
    want.bytes().all(|b| next() == Some(b)) && next().is_none()
}

/// Whether a text looks like a program rather than like words to search for: it names the object that holds the
/// tools, has a function in it or is fenced as code.
pub fn looks_like_program(text: &str) -> bool {
    let head = text.get(..text.floor_char_boundary(LOOKED_AT)).unwrap_or_default();
    ["codemode", "=>", "function", "await ", "eval(", "globalThis", "```", "\\u"].iter().any(|sign| head.contains(sign))
        || (text.len() > head.len() && text.contains("codemode"))
}
