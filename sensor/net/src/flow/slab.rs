//! Hot entries, and the order in which they age.

use super::{Flow, turn::Warm};

/// No entry.
pub(super) const NIL: u32 = u32::MAX;

/// What a flow is to the timeouts and to eviction. [`Slab::first_to_go`] has the order in which they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Over; remembered for late segments.
    Closed,
    /// The client has not gone on after an answer, and there is no payload.
    HalfOpen,
    /// Payload, but only one side has been heard.
    OneSided,
    /// Both sides, no payload.
    Silent,
    /// Both sides, and payload.
    Active,
}

impl Side {
    pub(super) fn known(self) -> bool {
        matches!(self.progress, Progress::Open | Progress::Ended)
    }

    pub(super) fn heard(self) -> bool {
        self.progress != Progress::Unknown
    }

    pub(super) fn hear(&mut self) {
        if self.progress == Progress::Unknown {
            self.progress = Progress::Heard;
        }
    }

    pub(super) fn ended(self) -> bool {
        self.progress == Progress::Ended
    }
}

impl Class {
    pub(super) const ALL: [Self; 5] = [Self::Closed, Self::HalfOpen, Self::OneSided, Self::Silent, Self::Active];
}

/// How far one sender has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its sequence numbers are unknown, and it has sent nothing but, perhaps, a RST.
    #[default]
    Unknown,
    /// It has sent something, but its sequence numbers are unknown.
    Heard,
    /// The next one is known.
    Open,
    /// Its FIN has been delivered.
    Ended,
}

/// Whether a flow is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Live,
    /// A RST has been believed, unless data follows.
    Reset,
    /// The layer above has been told of the end, or never needs to be.
    Closed,
}

/// What is known of one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Side {
    pub(super) progress: Progress,
    /// A segment with a right checksum was seen.
    pub(super) good: bool,
    /// Segments with a wrong checksum before any right one.
    pub(super) bad: u8,
    /// Segments out of window since the last one within.
    pub(super) strays: u8,
}

/// One flow. Small, because a flood of SYNs makes millions of them.
#[derive(Debug)]
pub(super) struct Slot<A> {
    pub(super) flow: Flow,
    /// Everything that only flows with payload need.
    pub(super) warm: Option<Box<Warm<A>>>,
    /// Next expected sequence number of each direction.
    pub(super) next: [u32; 2],
    pub(super) sides: [Side; 2],
    pub(super) class: Class,
    pub(super) life: Life,
    /// The layer above wants no more.
    pub(super) bypass: bool,
    /// `warm` has an odd SYN, unless it is gone.
    pub(super) odd_syn: bool,
    /// In the list of flows with holes.
    pub(super) waiting: bool,
    /// Table clock, in seconds, of when the entry was last moved to the end of its list.
    moved: u32,
    before: u32,
    after: u32,
}

const _: () = assert!(size_of::<Option<Slot<[u8; 4096]>>>() <= 200, "a hot entry is at most 200 bytes");

impl<A> Slot<A> {
    pub(super) fn new(flow: Flow) -> Self {
        Self {
            flow,
            warm: None,
            next: [0; 2],
            sides: [Side::default(); 2],
            class: Class::HalfOpen,
            life: Life::Live,
            bypass: false,
            odd_syn: false,
            waiting: false,
            moved: 0,
            before: NIL,
            after: NIL,
        }
    }
}

/// Ends of a list of entries, oldest first.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

/// Entries by index, with one list for each class, in order of last activity.
#[derive(Debug)]
pub(super) struct Slab<A> {
    slots: Vec<Option<Slot<A>>>,
    free: Vec<u32>,
    lists: [List; 5],
}

impl<A> Slab<A> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), lists: [List { first: NIL, last: NIL, len: 0 }; 5] }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get(&self, i: u32) -> Option<&Slot<A>> {
        self.slots.get(index(i))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, i: u32) -> Option<&mut Slot<A>> {
        self.slots.get_mut(index(i))?.as_mut()
    }

    /// All entries with their index, in no order worth knowing.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot<A>)> {
        (0..NIL).zip(&self.slots).filter_map(|(i, slot)| Some((i, slot.as_ref()?)))
    }

    pub(super) fn insert(&mut self, mut slot: Slot<A>, clock: u32) -> u32 {
        slot.moved = clock;
        let class = slot.class;
        let i = if let Some(i) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(index(i)) {
                *place = Some(slot);
            }
            i
        } else {
            self.slots.push(Some(slot));
            u32::try_from(self.slots.len() - 1).unwrap_or(NIL)
        };
        self.push(i, class);
        i
    }

    pub(super) fn remove(&mut self, i: u32) -> Option<Slot<A>> {
        self.unlink(i);
        let slot = self.slots.get_mut(index(i))?.take()?;
        self.free.push(i);
        Some(slot)
    }

    /// Puts an entry to the young end of the list of `class`. Does nothing if it went there in this second already,
    /// so that a busy flow touches its neighbours once a second and not once a packet.
    #[inline]
    pub(super) fn touch(&mut self, i: u32, class: Class, clock: u32) {
        if self.get(i).is_some_and(|slot| slot.class != class || slot.moved != clock) {
            self.place(i, class, clock);
        }
    }

    fn place(&mut self, i: u32, class: Class, clock: u32) {
        self.unlink(i);
        if let Some(slot) = self.get_mut(i) {
            slot.class = class;
            slot.moved = clock;
        }
        self.push(i, class);
    }

    /// Who goes when an entry is needed: what is over, then what nobody has answered, then what never spoke, then the
    /// rest; of each the one that has been still for the longest.
    ///
    /// Of the two kinds that one sender can make alone, connections asked for and payload out of the blue, the one of
    /// which there are more: so neither kind of flood costs the other its place.
    pub(super) fn first_to_go(&self) -> Option<u32> {
        let (asked, blue) = (Class::HalfOpen, Class::OneSided);
        let [more, fewer] = if self.list(asked).len > self.list(blue).len { [asked, blue] } else { [blue, asked] };
        let order = [Class::Closed, more, fewer, Class::Silent, Class::Active];
        order.into_iter().find_map(|class| self.oldest(class)).map(|(i, _)| i)
    }

    /// The oldest entry of a class and when it was last moved.
    pub(super) fn oldest(&self, class: Class) -> Option<(u32, u32)> {
        let i = self.list(class).first;
        Some((i, self.get(i)?.moved))
    }

    /// The next younger entry of the same class.
    pub(super) fn younger(&self, i: u32) -> Option<(u32, u32)> {
        let i = self.get(i)?.after;
        Some((i, self.get(i)?.moved))
    }

    fn list(&self, class: Class) -> List {
        let [closed, half_open, one_sided, silent, active] = self.lists;
        match class {
            Class::Closed => closed,
            Class::HalfOpen => half_open,
            Class::OneSided => one_sided,
            Class::Silent => silent,
            Class::Active => active,
        }
    }

    fn list_mut(&mut self, class: Class) -> &mut List {
        let [closed, half_open, one_sided, silent, active] = &mut self.lists;
        match class {
            Class::Closed => closed,
            Class::HalfOpen => half_open,
            Class::OneSided => one_sided,
            Class::Silent => silent,
            Class::Active => active,
        }
    }

    fn push(&mut self, i: u32, class: Class) {
        let list = self.list_mut(class);
        list.len += 1;
        let before = std::mem::replace(&mut list.last, i);
        if before == NIL {
            list.first = i;
        }
        if let Some(slot) = self.get_mut(before) {
            slot.after = i;
        }
        if let Some(slot) = self.get_mut(i) {
            slot.before = before;
            slot.after = NIL;
        }
    }

    fn unlink(&mut self, i: u32) {
        let Some(slot) = self.get(i) else { return };
        let (class, before, after) = (slot.class, slot.before, slot.after);
        self.list_mut(class).len -= 1;
        if let Some(slot) = self.get_mut(before) {
            slot.after = after;
        } else {
            self.list_mut(class).first = after;
        }
        if let Some(slot) = self.get_mut(after) {
            slot.before = before;
        } else {
            self.list_mut(class).last = before;
        }
    }
}

/// `NIL` gives an index no slab reaches.
fn index(i: u32) -> usize {
    usize::try_from(i).unwrap_or(usize::MAX)
}
