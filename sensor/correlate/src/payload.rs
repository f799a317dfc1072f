//! What is logged of the messages of a detection, because the policies that decide about them ask for it.

use crate::detection::id_text;
use crate::limits;
use crate::record::PayloadRecord;
use crate::ruling::messages;
use crate::unit::Unit;
use detect::{Content, Facet, Generation, LogPayload, MAX_LOGGED, Payload, Subject};
use net::Direction;

/// Most messages logged of one detection.
const MAX_MESSAGES: usize = 16;
/// Most bytes to be encrypted of one detection.
const MAX_BYTES: usize = 4 * MAX_LOGGED;

/// What is logged of one detection.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    pub(crate) payload: Vec<PayloadRecord>,
    /// Messages that met a limit.
    pub(crate) left_out: u64,
}

/// `facets` are those of the unit, in the order of its [`messages`].
pub(crate) fn logged(generation: &Generation, subject: &Subject<'_>, unit: &Unit, facets: &[Facet<'_>]) -> Logged {
    let mut logged = Logged::default();
    let policies = generation.rules.policies();
    if !policies.needs().logs {
        return logged;
    }
    let (mut rest, mut bytes) = (facets, 0);
    for (dir, call, content) in messages(unit) {
        let of_message = 1 + content.map_or(0, |content| content.inner_tools.len());
        let (mine, others) = rest.split_at_checked(of_message).unwrap_or((rest, &[]));
        rest = others;
        let Some(payload) = content.and_then(|content| content.payload.as_deref()) else { continue };
        let Some((rule, form)) = policies.logs(subject, mine) else { continue };
        let size = payload.clear.as_ref().filter(|_| form == LogPayload::Encrypted).map_or(0, |c| c.bytes().len());
        if logged.payload.len() >= MAX_MESSAGES || bytes + size > MAX_BYTES {
            logged.left_out += 1;
            continue;
        }
        bytes += size;
        let mut record = PayloadRecord {
            message: if dir == Direction::ToServer { "request" } else { "answer" }.to_owned(),
            rpc_id: call.id.as_ref().map(id_text),
            policy: rule.id.to_string(),
            form,
            bytes: payload.bytes,
            truncated: false,
            excerpt: None,
            recipients: None,
            data: None,
            clear: None,
        };
        fill(&mut record, payload);
        logged.payload.push(record);
    }
    logged
}

fn fill(record: &mut PayloadRecord, payload: &Payload) {
    match record.form {
        LogPayload::Masked => {
            let excerpt = payload.masked.as_ref();
            record.truncated = excerpt.is_none_or(|excerpt| excerpt.truncated);
            record.excerpt = excerpt.map(|excerpt| excerpt.text.clone());
        }
        LogPayload::Encrypted => {
            let clear = payload.clear.as_ref();
            record.truncated = clear.is_none_or(|clear| clear.bytes().len() as u64 != payload.bytes);
            record.clear = clear.cloned();
        }
    }
}

/// What it weighs to keep what a message holds, in bytes.
pub(crate) fn weight(content: &Content) -> usize {
    size_of::<Content>()
        + 2 * content.arguments.len()
        + content.inner_tools.iter().map(|tool| limits::name(tool)).sum::<usize>()
        + content.payload.as_ref().map_or(0, |payload| payload.weight())
}
