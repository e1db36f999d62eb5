//! Golden scripts: one scenario per file, named like a sentence; the output is what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

use clock::Timestamp;
use concurrency::wait_graph::{Rank, WaitGraph};
use concurrency::{Acquired, LatchId, Latched, Manager, Ticket, Wake};
use keys::{Key, Span};
use kvapi::{Isolation, KeyBlock, LockStrength, Priority, TxnId, TxnMeta};

struct Harness {
    manager: Manager,
    right: Option<Manager>,
    graph: WaitGraph,
    next_ticket: u64,
    latches: BTreeMap<Ticket, LatchId>,
    priorities: BTreeMap<u128, u8>,
    waiting: BTreeSet<Ticket>,
}

impl Harness {
    fn new() -> Harness {
        Harness {
            manager: Manager::new(Default::default(), at(1)),
            right: None,
            graph: WaitGraph::new(),
            next_ticket: 1,
            latches: BTreeMap::new(),
            priorities: BTreeMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket - 1)
    }

    /// Transactions are numbered; a lower number began earlier.
    fn txn(&self, number: u128) -> TxnMeta {
        TxnMeta {
            id: TxnId(number << 96),
            anchor: Some(Key::from("a")),
            epoch: 0,
            sequence: 0,
            isolation: Isolation::Serializable,
            priority: Priority(self.priorities.get(&number).copied().unwrap_or(Priority::NORMAL.0)),
            start: at(number as u64),
            write_timestamp: at(number as u64),
        }
    }

    fn tell(&mut self, wakes: Vec<Wake>) -> String {
        let mut output = String::new();
        for wake in wakes {
            self.graph.done(wake.ticket);
            self.waiting.remove(&wake.ticket);
            writeln!(output, "wake #{}: {:?}", wake.ticket.0, wake.reason).unwrap();
        }
        output
    }

    fn enter_wait(&mut self, ticket: Ticket, txn: TxnMeta, blockers: &[TxnId]) -> String {
        self.waiting.insert(ticket);
        match self.graph.wait(ticket, txn.id, Rank::of(&txn), blockers) {
            None => String::new(),
            Some(deadlock) => {
                let cycle: Vec<String> = deadlock.cycle.iter().copied().map(name).collect();
                let tickets: Vec<String> =
                    deadlock.tickets.iter().map(|ticket| format!("#{}", ticket.0)).collect();
                format!(
                    "deadlock: victim {} ({}), cycle {}\n",
                    cycle[0],
                    tickets.join(" "),
                    cycle.join(" -> ")
                )
            }
        }
    }
}

fn at(wall: u64) -> Timestamp {
    Timestamp::new(wall, 0)
}

fn name(txn: TxnId) -> String {
    format!("t{}", txn.0 >> 96)
}

fn strength(text: &str) -> Result<LockStrength, Box<dyn Error>> {
    Ok(match text {
        "key-share" => LockStrength::KeyShare,
        "share" => LockStrength::Share,
        "no-key-update" => LockStrength::NoKeyUpdate,
        "update" => LockStrength::Update,
        other => return Err(format!("no lock strength: {other}").into()),
    })
}

fn span(text: &str) -> Span {
    let (start, end) = text.split_once('-').expect("start-end");
    Span::new(start, end)
}

fn time(timestamp: Timestamp) -> String {
    if timestamp.logical == 0 {
        format!("{}", timestamp.wall)
    } else {
        format!("{}+{}", timestamp.wall, timestamp.logical)
    }
}

impl goldenscript::Runner for Harness {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            // priority TXN LEVEL
            "priority" => {
                let number: u128 = args.next_pos().ok_or("txn")?.parse()?;
                let level: u8 = args.next_pos().ok_or("level")?.parse()?;
                self.priorities.insert(number, level);
                String::new()
            }
            // lock TXN STRENGTH KEY [nowait]
            "lock" => {
                let number: u128 = args.next_pos().ok_or("txn")?.parse()?;
                let strength = strength(args.next_pos().ok_or("strength")?)?;
                let key = args.next_pos().ok_or("key")?.to_string();
                let nowait = args.next_pos().is_some_and(|arg| arg == "nowait");
                let txn = self.txn(number);
                let ticket = (!nowait).then(|| self.ticket());
                match self.manager.lock_key(key.as_bytes(), &txn, strength, ticket) {
                    Acquired::Granted { newly } => {
                        format!("granted{}\n", if newly { "" } else { " already" })
                    }
                    Acquired::Conflict(wait) => {
                        let blockers: Vec<String> = wait.blockers.iter().copied().map(name).collect();
                        let holder = name(wait.holder.id);
                        match ticket {
                            None => format!("refused: {holder} is in the way\n"),
                            Some(ticket) => {
                                let waits = format!(
                                    "#{} waits for {} (pushes {holder})\n",
                                    ticket.0,
                                    blockers.join(" ")
                                );
                                let mut output = waits + &self.enter_wait(ticket, txn, &wait.blockers);
                                for (other, waiter, wait) in self.manager.locks.waits(key.as_bytes()) {
                                    if other != ticket {
                                        output += &self.enter_wait(other, waiter, &wait.blockers);
                                    }
                                }
                                output
                            }
                        }
                    }
                }
            }
            // discover TXN KEY: an intent was met
            "discover" => {
                let number: u128 = args.next_pos().ok_or("txn")?.parse()?;
                let key = args.next_pos().ok_or("key")?.to_string();
                self.manager.locks.discover(key.as_bytes(), &self.txn(number));
                String::new()
            }
            // end TXN: all its locks go
            "end" => {
                let number: u128 = args.next_pos().ok_or("txn")?.parse()?;
                let mut wakes = Vec::new();
                self.manager.locks.release_all(TxnId(number << 96), &mut wakes);
                self.tell(wakes)
            }
            // cancel TICKET: a waiting lock request gives up
            "cancel" => {
                let ticket = Ticket(args.next_pos().ok_or("ticket")?.parse()?);
                self.graph.done(ticket);
                let mut wakes = Vec::new();
                self.manager.locks.cancel(ticket, &mut wakes);
                self.tell(wakes)
            }
            // may-write TXN KEY
            "may-write" => {
                let number: u128 = args.next_pos().ok_or("txn")?.parse()?;
                let key = args.next_pos().ok_or("key")?.to_string();
                let txn = (number > 0).then_some(TxnId(number << 96));
                format!("{}\n", self.manager.locks.may_write(key.as_bytes(), txn))
            }
            "locks" => {
                let mut output = String::new();
                for (table, manager) in [("", Some(&self.manager)), ("right: ", self.right.as_ref())] {
                    for (key, txn, strength) in manager.map_or(Vec::new(), |manager| manager.locks.locks()) {
                        let key = String::from_utf8_lossy(&key).into_owned();
                        writeln!(output, "{table}{key}: {} {strength:?}", name(txn))?;
                    }
                }
                output
            }
            // split KEY
            "split" => {
                let key = args.next_pos().ok_or("key")?.to_string();
                let mut wakes = Vec::new();
                self.right = Some(self.manager.split_off(key.as_bytes(), &mut wakes));
                self.tell(wakes)
            }
            // latch AT [KEY|START-END]...
            "latch" => {
                let timestamp = at(args.next_pos().ok_or("timestamp")?.parse()?);
                let ticket = self.ticket();
                let mut keys = KeyBlock::new();
                let mut spans = Vec::new();
                while let Some(arg) = args.next_pos() {
                    if arg.contains('-') { spans.push(span(arg)) } else { keys.push(arg.as_bytes()) }
                }
                let latched = self.manager.latches.acquire(keys, spans.into(), timestamp, ticket);
                self.latches.insert(ticket, latched.id());
                match latched {
                    Latched::Granted(_) => format!("#{} granted\n", ticket.0),
                    Latched::Waiting(_) => format!("#{} waits\n", ticket.0),
                }
            }
            // unlatch TICKET
            "unlatch" => {
                let ticket = Ticket(args.next_pos().ok_or("ticket")?.parse()?);
                let mut wakes = Vec::new();
                self.manager
                    .latches
                    .release(self.latches.remove(&ticket).ok_or("no such latch")?, &mut wakes);
                self.tell(wakes)
            }
            // read AT KEY|START-END [TXN]
            "read" => {
                let timestamp = at(args.next_pos().ok_or("timestamp")?.parse()?);
                let what = args.next_pos().ok_or("key or span")?.to_string();
                let txn = match args.next_pos() {
                    Some(arg) => Some(TxnId(arg.parse::<u128>()? << 96)),
                    None => None,
                };
                let ticket = self.ticket();
                let free = if what.contains('-') {
                    self.manager.read_spans(&[span(&what)], timestamp, txn, None, || ticket)
                } else {
                    self.manager.read_key(what.as_bytes(), timestamp, txn, || ticket)
                };
                if free { "reads\n".to_string() } else { format!("#{} waits\n", ticket.0) }
            }
            // fix TICKET AT KEY [TXN]: where the write of that latch goes
            "fix" => {
                let ticket = Ticket(args.next_pos().ok_or("ticket")?.parse()?);
                let timestamp = at(args.next_pos().ok_or("timestamp")?.parse()?);
                let key = args.next_pos().ok_or("key")?.to_string();
                let txn = match args.next_pos() {
                    Some(arg) => Some(TxnId(arg.parse::<u128>()? << 96)),
                    None => None,
                };
                let latch = self.latches[&ticket];
                let keys = std::iter::once(key.as_bytes());
                format!("writes at {}\n", time(self.manager.fix_write_timestamp(latch, keys, timestamp, txn)))
            }
            other => return Err(format!("unknown command {other}").into()),
        };
        args.reject_next()?;
        Ok(output)
    }
}

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let path = format!("tests/scripts/{}", stringify!($name));
            goldenscript::run(&mut Harness::new(), &path).expect("the script runs");
        }
    )*};
}

scripts! {
    a_deadlock_over_two_keys_kills_the_youngest,
    a_deadlock_spares_the_higher_priority,
    a_discovered_intent_is_waited_for_like_a_lock,
    a_granted_lock_is_handed_over_without_barging,
    a_key_share_lets_a_no_key_update_pass,
    a_read_waits_for_writes_in_flight_at_or_below_it,
    a_split_moves_locks_and_wakes_waiters,
    a_waiter_that_gives_up_lets_others_pass,
    a_write_goes_above_the_reads_of_others,
    an_update_lock_waits_for_every_sharer,
    an_update_that_leaves_the_key_passes_a_waiting_delete,
    latches_are_granted_first_come_first_served,
    two_upgraders_of_one_key_deadlock,
    who_holds_for_update_may_write,
}
