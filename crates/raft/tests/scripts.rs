//! Scenarios as golden scripts, one per file in `tests/scripts`, each named like a sentence. What a command prints
//! is the trace of what it caused. `UPDATE_GOLDENFILES=1 cargo test -p raft` writes the traces anew: read the difference.

mod cluster;

use std::error::Error;
use std::fmt::Write as _;

use cluster::{Cluster, Disk, State, describe};
use goldenscript::{Argument, Command, Context, Runner};
use raft::{
    Body, Bytes, Change, ConfChange, Configuration, Entry, EntryKind, Group, HardState, Index, Message,
    ReplicaId, Restraint, Term, Transition,
};

type Output = Result<String, Box<dyn Error>>;

struct Scenario {
    cluster: Cluster,
}

impl Scenario {
    fn new() -> Scenario {
        Scenario { cluster: Cluster::new(7, |config| config.quiesce_ticks = 0) }
    }

    /// `cluster voters=1/2/3 [learners=4] [waiting=5/6] [limits=small|sleepy]`
    fn begin(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let mut configuration = Configuration::of_voters(ids(arguments.take_key("voters").unwrap_or("1"))?);
        configuration.learners = ids(arguments.take_key("learners").unwrap_or(""))?;
        let waiting = ids(arguments.take_key("waiting").unwrap_or(""))?;
        let limits = arguments.take_key("limits").unwrap_or("none");
        arguments.reject_next()?;
        self.cluster = Cluster::new(
            7,
            match limits {
                "none" => |config| config.quiesce_ticks = 0,
                "small" => |config| {
                    config.quiesce_ticks = 0;
                    config.inflight_appends_max = 3;
                    config.append_bytes_max = 1;
                    config.uncommitted_bytes_max = 200;
                    config.committed_bytes_max = 1;
                },
                "sleepy" => |config| config.quiesce_ticks = 3,
                other => return Err(format!("unknown limits {other}").into()),
            },
        );
        for id in configuration.members() {
            self.cluster.add(id, configuration.clone());
        }
        for id in waiting {
            self.cluster.add(id, Configuration::default());
        }
        Ok(())
    }

    /// `replica ID voters=1/2/3 terms=1/1/2 [term=T] [vote=V] [commit=C]`: a replica with a log of these terms.
    fn replica(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let id = id(arguments.next_pos())?;
        let configuration = Configuration::of_voters(ids(arguments.take_key("voters").unwrap_or("1/2/3"))?);
        let terms: Vec<u64> = numbers(arguments.take_key("terms").unwrap_or(""))?;
        let term: u64 = match arguments.take_key("term") {
            Some(text) => text.parse()?,
            None => terms.last().copied().unwrap_or(0),
        };
        let vote = match arguments.take_key("vote") {
            Some(text) => Some(ReplicaId(text.parse()?)),
            None => None,
        };
        let commit = Index(arguments.take_key("commit").unwrap_or("0").parse()?);
        arguments.reject_next()?;
        let entries = terms.iter().zip(1..).map(|(term, index)| Entry {
            index: Index(index),
            term: Term(*term),
            kind: EntryKind::Normal,
            payload: Bytes::from(format!("{index}@{term}")),
        });
        let state = State { configuration, ..State::default() };
        let disk = Disk {
            hard_state: HardState { term: Term(term), vote, commit },
            entries: entries.collect(),
            flushed: state.clone(),
            state,
            ..Disk::default()
        };
        self.cluster.add_with_disk(id, disk);
        Ok(())
    }

    /// `conf ID v4 l3 r2 [transition=explicit|implicit]` adds voters, makes learners, removes; `conf ID leave`.
    fn change_members(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let at = id(arguments.next_pos())?;
        let transition = match arguments.take_key("transition") {
            None => Transition::Auto,
            Some("explicit") => Transition::JointExplicit,
            Some("implicit") => Transition::JointImplicit,
            Some(other) => return Err(format!("unknown transition {other}").into()),
        };
        let mut changes = Vec::new();
        while let Some(text) = arguments.next_pos() {
            let (kind, number) = text.split_at(1);
            match kind {
                _ if text == "leave" => {}
                "v" => changes.push(Change::AddVoter(ReplicaId(number.parse()?))),
                "l" => changes.push(Change::AddLearner(ReplicaId(number.parse()?))),
                "r" => changes.push(Change::Remove(ReplicaId(number.parse()?))),
                _ => return Err(format!("what change is {text}?").into()),
            }
        }
        let change = ConfChange { changes, transition, context: Bytes::new() };
        self.cluster.group(at).propose_conf_change(&change)?;
        self.cluster.process(at);
        Ok(())
    }

    fn on_links(
        &mut self,
        command: &Command,
        act: impl Fn(&mut Cluster, &dyn Fn(ReplicaId, ReplicaId) -> bool),
    ) -> Result<(), Box<dyn Error>> {
        let mut links = Vec::new();
        for argument in &command.args {
            let Argument::Positional(text) = argument else { return Err("links look like 1-2".into()) };
            let (from, to) = text.split_once('-').ok_or("links look like 1-2, any-2, 1-any")?;
            links.push((end(from)?, end(to)?));
        }
        act(&mut self.cluster, &|from, to| {
            links.is_empty()
                || links.iter().any(|(f, t)| f.is_none_or(|f| f == from) && t.is_none_or(|t| t == to))
        });
        Ok(())
    }

    fn status(&mut self, command: &Command) -> Output {
        let chosen: Vec<ReplicaId> = positions(command)?;
        let mut out = String::new();
        for (id, node) in &self.cluster.nodes {
            if !chosen.is_empty() && !chosen.contains(id) {
                continue;
            }
            let Some(group) = &node.group else {
                writeln!(out, "{id}: crashed")?;
                continue;
            };
            let leader = group.leader().map_or("-".to_string(), |leader| leader.to_string());
            let sleeps = if group.is_quiescent() { " asleep" } else { "" };
            writeln!(
                out,
                "{id}: {:?} term={} leader={leader} last={}@{} durable={} commit={} applied={} {}{sleeps}",
                group.role(),
                group.term(),
                group.last_index(),
                group.last_term(),
                group.durable_index(),
                group.commit_index(),
                group.applied_index(),
                group.configuration(),
            )?;
            for follower in group.followers() {
                writeln!(out, "   {}: {}", follower.id, follower.text)?;
            }
        }
        Ok(out)
    }

    fn log(&mut self, command: &Command) -> Output {
        let mut out = String::new();
        for id in positions(command)? {
            let disk = &self.cluster.node(id).disk;
            let entries: Vec<String> = disk.entries.iter().map(describe).collect();
            writeln!(out, "{id}: after {}@{}: [{}]", disk.truncated.0, disk.truncated.1, entries.join(", "))?;
            writeln!(out, "   state: {:?}", disk.state.commands)?;
        }
        Ok(out)
    }

    fn run_command(&mut self, command: &Command) -> Output {
        let cluster = &mut self.cluster;
        match command.name.as_str() {
            "cluster" => self.begin(command)?,
            "replica" => self.replica(command)?,
            "conf" => self.change_members(command)?,
            "status" => return self.status(command),
            "log" => return self.log(command),
            "campaign" => for_each(command, cluster, |cluster, id| cluster.group(id).campaign())?,
            "wake" => for_each(command, cluster, |cluster, id| cluster.group(id).wake())?,
            "hasten" => for_each(command, cluster, |cluster, id| cluster.group(id).hasten(1))?,
            "crash" => for_each(command, cluster, Cluster::crash)?,
            "restart" => for_each(command, cluster, Cluster::restart)?,
            "flush" => for_each(command, cluster, |cluster, id| cluster.node(id).disk.flush())?,
            "hold-writes" => for_each(command, cluster, |cluster, id| cluster.node(id).holds_writes = true)?,
            "free-writes" => for_each(command, cluster, |cluster, id| cluster.node(id).holds_writes = false)?,
            "hold-applying" => {
                for_each(command, cluster, |cluster, id| cluster.node(id).holds_applying = true)?
            }
            "free-applying" => {
                for_each(command, cluster, |cluster, id| cluster.node(id).holds_applying = false)?
            }
            "refuse-snapshots" => {
                for_each(command, cluster, |c, id| c.node(id).disk.refuse_snapshots = true)?
            }
            "give-snapshots" => for_each(command, cluster, |c, id| c.node(id).disk.refuse_snapshots = false)?,
            "persist" => for_each(command, cluster, |cluster, id| cluster.persist(id, 1))?,
            "settle" => cluster.settle(),
            "deliver" => self.on_links(command, |cluster, on| {
                cluster.deliver(|message| on(message.from, message.to));
            })?,
            "drop" => self.on_links(command, |cluster, on| {
                cluster.network.retain(|message| !on(message.from, message.to));
            })?,
            "duplicate" => self.on_links(command, |cluster, on| {
                let again: Vec<_> = cluster.network.iter().filter(|m| on(m.from, m.to)).cloned().collect();
                cluster.network.extend(again);
            })?,
            "reverse" => self.on_links(command, |cluster, _| cluster.network.reverse())?,
            "cut" => self.on_links(command, |cluster, on| {
                let ids = cluster.ids();
                let links = ids.iter().flat_map(|from| ids.iter().map(|to| (*from, *to)));
                let cut: Vec<_> = links.filter(|(from, to)| on(*from, *to)).collect();
                cluster.cut.extend(cut);
            })?,
            "heal" => cluster.cut.clear(),
            _ => self.run_with_arguments(command)?,
        }
        Ok(String::new())
    }

    fn run_with_arguments(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let cluster = &mut self.cluster;
        let mut arguments = command.consume_args();
        match command.name.as_str() {
            // tick ID|any [times]
            "tick" => {
                let who = end(arguments.next_pos().ok_or("tick whom?")?)?;
                let times: u64 = arguments.next_pos().unwrap_or("1").parse()?;
                for _ in 0..times {
                    for id in cluster.ids().into_iter().filter(|id| who.is_none_or(|who| who == *id)) {
                        cluster.tick(id);
                    }
                }
            }
            "propose" => {
                let at = id(arguments.next_pos())?;
                while let Some(text) = arguments.next_pos() {
                    cluster.group(at).propose(Bytes::from(text.to_string()))?;
                }
                cluster.process(at);
            }
            // `restrain ID none|keeps|forgetful`: what its store has promised.
            "restrain" => {
                let id = end(arguments.next_pos().ok_or("restrain whom?")?)?;
                let restraint = match arguments.next_pos() {
                    Some("none") => Restraint::None,
                    Some("keeps") => Restraint::KeepsLeader,
                    Some("forgetful") => Restraint::Forgetful,
                    other => return Err(format!("unknown restraint {other:?}").into()),
                };
                cluster.group(id.ok_or("restrain one")?).set_restraint(restraint);
            }
            // `answer-for-gone ID GONE`: ID asks a replica that has ended, and the store of that one answers.
            "answer-for-gone" => {
                let (from, to) = (id(arguments.next_pos())?, id(arguments.next_pos())?);
                let term = cluster.group(from).term();
                let asked = Message { from, to, term, body: Body::Wake };
                let answer = Group::answer_for_gone(&asked).ok_or("that is not answered")?;
                cluster.trace.push(answer.to_string());
                cluster.deliver_one(answer);
            }
            "transfer" => {
                let (from, to) = (id(arguments.next_pos())?, id(arguments.next_pos())?);
                cluster.group(from).transfer_leadership(to)?;
                cluster.process(from);
            }
            "read" => {
                let at = id(arguments.next_pos())?;
                let token = cluster.group(at).read_index()?;
                cluster.trace.push(format!("{at} asks for read #{token}"));
                cluster.process(at);
            }
            "truncate" => {
                let at = id(arguments.next_pos())?;
                let upto = Index(arguments.next_pos().ok_or("truncate up to where?")?.parse()?);
                cluster.node(at).disk.flush();
                cluster.node(at).disk.truncate(upto);
            }
            "unreachable" => {
                let (from, to) = (id(arguments.next_pos())?, id(arguments.next_pos())?);
                cluster.group(from).report_unreachable(to);
                cluster.process(from);
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        arguments.reject_next()
    }
}

impl Runner for Scenario {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Output {
        let mut out = self.run_command(command)?;
        for line in self.cluster.trace.drain(..) {
            writeln!(out, "{line}")?;
        }
        Ok(out)
    }
}

fn for_each(
    command: &Command,
    cluster: &mut Cluster,
    act: impl Fn(&mut Cluster, ReplicaId),
) -> Result<(), Box<dyn Error>> {
    for id in positions(command)? {
        act(cluster, id);
        cluster.process(id);
    }
    Ok(())
}

fn positions(command: &Command) -> Result<Vec<ReplicaId>, Box<dyn Error>> {
    let mut arguments = command.consume_args();
    let mut found = Vec::new();
    while let Some(text) = arguments.next_pos() {
        found.push(ReplicaId(text.parse()?));
    }
    arguments.reject_next()?;
    Ok(found)
}

fn id(text: Option<&str>) -> Result<ReplicaId, Box<dyn Error>> {
    Ok(ReplicaId(text.ok_or("which replica?")?.parse()?))
}

fn end(text: &str) -> Result<Option<ReplicaId>, Box<dyn Error>> {
    if text == "any" { Ok(None) } else { Ok(Some(ReplicaId(text.parse()?))) }
}

fn numbers(text: &str) -> Result<Vec<u64>, Box<dyn Error>> {
    let parts = text.split('/').filter(|part| !part.is_empty());
    Ok(parts.map(str::parse).collect::<Result<_, _>>()?)
}

fn ids(text: &str) -> Result<Vec<ReplicaId>, Box<dyn Error>> {
    Ok(numbers(text)?.into_iter().map(ReplicaId).collect())
}

#[test]
fn scenarios() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the scripts are there")
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        println!("{}", path.display());
        goldenscript::run(&mut Scenario::new(), &path).expect("the scenario runs");
    }
}
