//! How names read: letters that look alike (a subset of UTS #39), names of other scripts (RFC 3492), one letter off.

/// Longest label, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// A short ASCII text on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    bytes: [u8; MAX_LABEL],
    len: usize,
}

impl Text {
    const EMPTY: Self = Self { bytes: [0; MAX_LABEL], len: 0 };

    /// Nothing where it is too long or not ASCII.
    pub(super) fn of(bytes: impl IntoIterator<Item = u8>) -> Option<Self> {
        let mut text = Self::EMPTY;
        bytes.into_iter().try_for_each(|b| text.push(b))?;
        Some(text)
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len).filter(|_| byte.is_ascii())? = byte;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self, last: u8) -> bool {
        let ends = self.len.checked_sub(1).is_some_and(|at| self.bytes.get(at) == Some(&last));
        self.len -= usize::from(ends);
        ends
    }

    pub(super) fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// How a label reads: two that look alike have the same. Nothing where it has letters that look like none of ASCII.
pub(super) fn skeleton(label: &str) -> Option<Text> {
    let mut out = Text::EMPTY;
    if let Some(code) = label.strip_prefix("xn--") {
        let (letters, len) = punycode(code)?;
        for c in letters.get(..len)? {
            add(&mut out, plain(*c)?)?;
        }
    } else {
        label.bytes().try_for_each(|b| add(&mut out, b))?;
    }
    Some(out)
}

fn add(out: &mut Text, byte: u8) -> Option<()> {
    let byte = match byte {
        b'0' => b'o',
        b'1' | b'i' => b'l',
        b'n' if out.pop(b'r') => b'm',
        b'v' if out.pop(b'v') => b'w',
        other => other.to_ascii_lowercase(),
    };
    out.push(byte)
}

/// Letters of ASCII with those that look like them: Cyrillic, Greek, Armenian and Latin with marks.
const ALIKE: [(u8, &str); 26] = [
    (b'a', "аɑαàáâãäåāăąǎạảấầẩẫậắằẳẵặӑӓ"),
    (b'b', "ьƅḃḅḇɓ"),
    (b'c', "сϲçćĉċčḉ"),
    (b'd', "ԁɗďđḋḍḏḑḓ"),
    (b'e', "еёҽèéêëēĕėęěẹẻẽếềểễệҿ"),
    (b'f', "ƒḟẝ"),
    (b'g', "ɡցĝğġģǧǵḡ"),
    (b'h', "һհĥħḣḥḧḩḫ"),
    (b'i', "іїɩιίϊìíîïĩīĭįıǐịỉɪӏ"),
    (b'j', "јϳĵǰ"),
    (b'k', "кκķǩḱḳḵ"),
    (b'l', "ⅼǀĺļľŀłḷḹḻḽӀ"),
    (b'm', "мⅿḿṁṃ"),
    (b'n', "пոñńņňŉṅṇṉṋήη"),
    (b'o', "оοօσöòóôõøōŏőơǒọỏốồổỗộớờởỡợόө"),
    (b'p', "рρṕṗ"),
    (b'q', "ԛզɋ"),
    (b'r', "гŕŗřṙṛṝṟ"),
    (b's', "ѕśŝşšșṡṣ"),
    (b't', "тτţťŧțṫṭṯṱ"),
    (b'u', "υսùúûüũūŭůűųưǔụủứừửữựύ"),
    (b'v', "ѵνṽṿ"),
    (b'w', "ѡԝաωŵẁẃẅẇẉ"),
    (b'x', "хχẋẍ"),
    (b'y', "уγүýÿŷẏỳỵỷỹў"),
    (b'z', "ᴢźżžẑẓẕ"),
];

/// The letter of ASCII that another looks like.
fn plain(c: char) -> Option<u8> {
    if c.is_ascii() {
        return u8::try_from(c).ok();
    }
    // Full width.
    if let Some(at) = u32::from(c).checked_sub(0xff41).filter(|at| *at < 26) {
        return u8::try_from(at).ok().map(|at| b'a' + at);
    }
    ALIKE.iter().find(|(_, alike)| alike.contains(c)).map(|(letter, _)| *letter)
}

/// A label without its `xn--` as letters, and how many (RFC 3492 §6.2).
pub(super) fn punycode(code: &str) -> Option<([char; MAX_LABEL], usize)> {
    let mut out = ['\0'; MAX_LABEL];
    let (basic, rest) = code.rsplit_once('-').unwrap_or(("", code));
    let mut len = 0_usize;
    for c in basic.chars() {
        *out.get_mut(len).filter(|_| c.is_ascii())? = c;
        len += 1;
    }
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72_u32);
    let mut rest = rest.bytes().peekable();
    while rest.peek().is_some() {
        let (old, mut weight, mut k) = (i, 1_u32, 36_u32);
        loop {
            let digit = match rest.next()? {
                b @ b'a'..=b'z' => b - b'a',
                b @ b'A'..=b'Z' => b - b'A',
                b @ b'0'..=b'9' => b - b'0' + 26,
                _ => return None,
            };
            let digit = u32::from(digit);
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let least = k.saturating_sub(bias).clamp(1, 26);
            if digit < least {
                break;
            }
            weight = weight.checked_mul(36 - least)?;
            k += 36;
        }
        let count = u32::try_from(len).ok()? + 1;
        bias = adapt(i - old, count, old == 0);
        n = n.checked_add(i / count)?;
        i %= count;
        let at = usize::try_from(i).ok()?;
        (len < MAX_LABEL).then_some(())?;
        out.get_mut(at..=len)?.rotate_right(1);
        *out.get_mut(at)? = char::from_u32(n)?;
        len += 1;
        i += 1;
    }
    Some((out, len))
}

fn adapt(delta: u32, count: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / count;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

/// Gives a label with each of its letters left out in turn, until told to stop.
pub(super) fn shorter(label: &str, mut each: impl FnMut(&str) -> bool) {
    for left_out in 0..label.len() {
        let kept = label.bytes().enumerate().filter(|(at, _)| *at != left_out).map(|(_, b)| b);
        if Text::of(kept).is_some_and(|text| each(text.as_str())) {
            return;
        }
    }
}

/// Whether one letter too many, too few, another or two swapped make one label of the other. Labels that differ in
/// the number at their end are of one row and no imitations.
pub(super) fn is_one_off(a: &str, b: &str) -> bool {
    let digits = |c: char| c.is_ascii_digit();
    if a.trim_end_matches(digits) == b.trim_end_matches(digits) {
        return false;
    }
    let (a, b) = if a.len() <= b.len() { (a.as_bytes(), b.as_bytes()) } else { (b.as_bytes(), a.as_bytes()) };
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    let swapped = matches!((a, b), ([one, two, ..], [three, four, ..]) if one == four && two == three);
    let other = a.get(1..).is_some_and(|rest| b.get(1..) == Some(rest));
    (swapped && a.get(2..) == b.get(2..)) || other || b.get(1..) == Some(a)
}
