//! Code Mode: a tool that takes a program, which calls the tools proper as `codemode.<tool>(…)`. Two names hide all
//! others from whoever looks at `tools/call` only, so the program is read for the names in it.
//!
//! It is read as tokens (ECMA-262 and TypeScript, no JSX): what stands in strings and comments is no call. Nothing is
//! run and no scope is followed. A parameter or a local variable that is called `codemode` therefore counts as the
//! object, which reports too much; what cannot be followed (a computed name, the object passed on, `eval`) marks the
//! program incomplete. What stays unseen: a program that gets at a maker of code by a computed member of another object
//! (`f["con" + "structor"]`).

mod lex;
mod place;
mod query;
mod text;
mod token;
mod uses;

#[cfg(test)]
mod tests;

pub use query::{CodeMode, PROGRAM_MEMBERS, code_mode, looks_like_program, shows_two_tools};

/// Longest program that is read, in bytes.
pub const MAX_PROGRAM: usize = 1 << 20;
/// Most tokens of a program that are looked at.
const MAX_TOKENS: usize = 1 << 16;
/// Most tools of a program that are kept.
pub const MAX_TOOLS: usize = 64;
/// Longest name of a tool, in bytes.
const MAX_NAME: usize = 256;

/// What a program given to Code Mode calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The tools it names as members of `codemode`, in the order of their first use, each once; at most [`MAX_TOOLS`].
    pub tools: Vec<String>,
    /// There may be others: a computed name, `eval`, the object given to what is not followed, a program too long or
    /// none at all.
    pub incomplete: bool,
}

/// Reads the tools out of a program.
///
/// A Markdown fence around it is taken off first, as servers do. Linear in the length of the source; no recursion.
pub fn inner_tools(source: &str) -> Program {
    let (source, fenced) = unfenced(source);
    let mut program = uses::read(source.get(..source.floor_char_boundary(MAX_PROGRAM)).unwrap_or_default());
    program.incomplete |= fenced || source.len() > MAX_PROGRAM;
    program
}

/// The program in a Markdown fence, and whether the fence is one that some would not take off.
fn unfenced(source: &str) -> (&str, bool) {
    let Some(inside) = source.trim().strip_prefix("```") else {
        return (source, false);
    };
    let (language, body) = inside.split_once('\n').unwrap_or_default();
    let (body, closed) = match body.trim_end().strip_suffix("```") {
        Some(body) => (body, true),
        None => (body, false),
    };
    let plain = language.trim().bytes().all(|b| b.is_ascii_alphanumeric());
    (body, !plain || !closed || body.contains("```"))
}

/// Reads any bytes as a program; the limits hold.
#[doc(hidden)]
pub fn fuzz_codemode(data: &[u8]) {
    let source = String::from_utf8_lossy(data);
    let program = inner_tools(&source);
    assert!(program.tools.len() <= MAX_TOOLS, "tools outgrew their limit");
    assert!(program.tools.iter().all(|tool| tool.len() <= MAX_NAME), "a name outgrew its limit");
    let _ = looks_like_program(&source);
    let _ = code_mode(&source, shows_two_tools(&source));
}
