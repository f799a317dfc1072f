//! The client hello, as far as it is read before the TLS library has it, and what can be seen of a handshake that is
//! passed through.

use super::news;
use crate::clock;
use crate::conn::Conn;
use crate::inspect::place;
use crate::thread::Thread;
use detect::{Contact, ContactKind};
use net::Direction;
use proto::tls::{Alert, Certificate, ClientHello, End, Limits, Observer, ServerHello, Sink, Stats, Want};
use std::rc::Rc;

/// Reads the hello at the front of a connection, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct Front {
    observer: Observer,
    read: usize,
    hello: Found,
}

#[derive(Debug, Default)]
struct Found(Option<ClientHello>);

impl Sink for Found {
    fn client_hello(&mut self, _: Direction, hello: ClientHello) {
        self.0.get_or_insert(hello);
    }
    fn server_hello(&mut self, _: Direction, _: ServerHello) {}
    fn certificate(&mut self, _: Direction, _: Certificate) {}
    fn alert(&mut self, _: Direction, _: Alert) {}
    fn end(&mut self, _: Direction, _: End) {}
}

/// What there is of a hello.
#[derive(Debug)]
pub(crate) enum Hello {
    /// More bytes are needed.
    More,
    /// It is whole.
    Whole(Box<ClientHello>),
    /// It is none, or cannot be read.
    None,
}

impl Front {
    /// Reads what is new in `bytes`, which are all from the start on.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Hello {
        let new = bytes.get(self.read..).unwrap_or_default();
        self.read = bytes.len();
        let want =
            self.observer.feed(&Limits::default(), &mut Stats::default(), Direction::ToServer, new, &mut self.hello);
        match (self.hello.0.take(), want) {
            (Some(hello), _) => Hello::Whole(Box::new(hello)),
            (None, Want::More) => Hello::More,
            (None, Want::Nothing(_)) => Hello::None,
        }
    }
}

/// Looks on at a handshake that is passed through, for what it says of a known server.
pub(crate) struct Onlooker {
    observer: Observer,
    contact: Contact,
    conn: Rc<Conn>,
}

impl Onlooker {
    /// For a connection whose hello is known; `None` where it names nobody of interest.
    pub(crate) fn new(conn: Rc<Conn>, hello: &ClientHello) -> Option<Box<Self>> {
        let via = conn.connect.then_some(conn.authority.host.as_str());
        let contact = Contact::new(ContactKind::Tls, clock::now(), place(&conn), via);
        let mut this = Self { observer: Observer::new(), contact, conn };
        let thread = &this.conn.thread;
        let settings = thread.shared.settings.load();
        let wanted = this.contact.client_hello(&settings.generation, &mut thread.scratch.borrow_mut(), hello);
        drop(settings);
        this.tell();
        wanted.then(|| Box::new(this))
    }

    /// Bytes passed. Whether more are wanted.
    pub(crate) fn see(&mut self, dir: Direction, bytes: &[u8]) -> bool {
        let thread = &self.conn.thread;
        let settings = thread.shared.settings.load();
        let mut sink = Seen { contact: &mut self.contact, thread, rules: &settings.generation };
        let limits = Limits::default();
        self.observer.feed(&limits, &mut Stats::default(), dir, bytes, &mut sink);
        if self.observer.is_over(&limits) {
            self.contact.over();
        }
        self.tell();
        !self.contact.is_over()
    }

    /// Nothing more will pass.
    pub(crate) fn over(mut self: Box<Self>) {
        self.contact.over();
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(seen) = self.contact.take_update() {
            news::contact(&self.conn, seen);
        }
    }
}

struct Seen<'s> {
    contact: &'s mut Contact,
    thread: &'s Thread,
    rules: &'s detect::Generation,
}

impl Sink for Seen<'_> {
    // The hello was read before.
    fn client_hello(&mut self, _: Direction, _: ClientHello) {}
    fn server_hello(&mut self, _: Direction, hello: ServerHello) {
        self.contact.server_hello(&hello);
    }
    fn certificate(&mut self, _: Direction, leaf: Certificate) {
        self.contact.certificate(self.rules, &mut self.thread.scratch.borrow_mut(), &leaf);
    }
    fn alert(&mut self, _: Direction, _: Alert) {}
    fn end(&mut self, _: Direction, _: End) {}
}
