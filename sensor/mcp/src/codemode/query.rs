//! Which tools take a program.

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

/// Whether a tool of this name takes a program, on a server that was asked with this query (without its `?`).
///
/// `portal_codemode_search` and its like and `code` do; `search` and `execute` do on a server asked to show these two
/// alone, and perhaps elsewhere.
pub fn code_mode(tool: &str, query: Option<&str>) -> CodeMode {
    match tool {
        "portal_codemode_search" | "portal_codemode_execute" | "codemode" | "code" => CodeMode::Yes,
        "search" | "execute" | "portal_query_tools" | "portal_execute" => {
            if query.is_some_and(asks_for_two_tools) {
                CodeMode::Yes
            } else {
                CodeMode::Perhaps
            }
        }
        "execute_code" | "run_code" | "codemode_search" | "codemode_execute" => CodeMode::Perhaps,
        _ => CodeMode::No,
    }
}

/// Whether [`code_mode`] is sure.
pub fn is_code_mode(tool: &str, query: Option<&str>) -> bool {
    code_mode(tool, query) == CodeMode::Yes
}

/// `codemode=search_and_execute`, or `optimize_context=search_and_execute` as portals once called it.
fn asks_for_two_tools(query: &str) -> bool {
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
