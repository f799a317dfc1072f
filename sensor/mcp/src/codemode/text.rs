//! The words and strings of a program as they are meant: escapes undone.

use std::borrow::Cow;

/// A name with its `\u` escapes undone (ECMA-262 §12.7); nothing where one is malformed.
pub(crate) fn name(raw: &str) -> Option<Cow<'_, str>> {
    unescape(raw, true)
}

/// What a string or template literal stands for (ECMA-262 §12.9.4), its quotes given with it; nothing where an escape
/// is malformed or stands for half a surrogate pair, which no name has.
pub(crate) fn literal(raw: &str) -> Option<Cow<'_, str>> {
    unescape(raw.get(1..raw.len().checked_sub(1)?)?, false)
}

fn unescape(raw: &str, name: bool) -> Option<Cow<'_, str>> {
    let Some(first) = raw.find(['\\', '\r']) else {
        return Some(Cow::Borrowed(raw));
    };
    let (plain, rest) = raw.split_at_checked(first)?;
    let mut out = String::with_capacity(raw.len());
    out.push_str(plain);
    let mut rest = rest.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' {
            // In a template CR and CR LF stand for LF.
            rest.next_if_eq(&'\n');
            out.push('\n');
            continue;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escape = rest.next()?;
        let code = match escape {
            'u' if rest.next_if_eq(&'{').is_some() => {
                let mut code = 0_u32;
                loop {
                    match rest.next()? {
                        '}' => break,
                        digit => code = code.checked_mul(16)?.checked_add(digit.to_digit(16)?)?,
                    }
                }
                code
            }
            'u' => {
                let high = hex(&mut rest, 4)?;
                if (0xd800..0xdc00).contains(&high) {
                    (rest.next()? == '\\' && rest.next()? == 'u').then_some(())?;
                    let low = hex(&mut rest, 4)?;
                    (0xdc00..0xe000).contains(&low).then_some(())?;
                    0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    high
                }
            }
            _ if name => return None,
            'x' => hex(&mut rest, 2)?,
            '0'..='7' => {
                let mut code = escape.to_digit(8)?;
                for _ in 0..2 {
                    if let Some(digit) = rest.peek().and_then(|c| c.to_digit(8))
                        && code * 8 + digit < 256
                    {
                        rest.next();
                        code = code * 8 + digit;
                    }
                }
                code
            }
            'n' => u32::from('\n'),
            't' => u32::from('\t'),
            'r' => u32::from('\r'),
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\r' => {
                rest.next_if_eq(&'\n');
                continue;
            }
            '\n' | '\u{2028}' | '\u{2029}' => continue,
            other => u32::from(other),
        };
        out.push(char::from_u32(code)?);
    }
    Some(Cow::Owned(out))
}

fn hex(from: &mut impl Iterator<Item = char>, digits: usize) -> Option<u32> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + from.next()?.to_digit(16)?;
    }
    Some(code)
}
