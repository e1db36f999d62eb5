//! Requests on records: asked, waited for, given back.

use futures::future::select;
use stdx::Backoff;

use kvapi::report_row;
use stdx::Prng;

use super::record::Outcome;
use super::*;
use crate::cluster::topics;

/// Between attempts to give something back while the keyspace does not answer.
const RETRY_INITIAL: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How long another node may take to hear that a request of its is granted; it looks by itself.
const TELL_TIME_MAX: Duration = Duration::from_secs(1);
/// Locks that are given back in one transaction.
const RELEASE_COUNT_MAX: usize = 100;

/// A request under way; dropped before it has been granted, it is given up.
struct Request {
    locks: Arc<ClusterLocks>,
    lock: AdvisoryKey,
    ticket: i64,
    /// Something of it may be in the record.
    is_asked: bool,
}

impl Drop for Request {
    fn drop(&mut self) {
        {
            let mut state = self.locks.state.lock();
            state.waiting.remove(&self.ticket);
            state.requests -= 1;
        }
        if self.is_asked {
            let task = self.locks.clone().give_up(vec![(self.lock, self.ticket)]);
            drop(self.locks.env.spawn("advisory-release", Box::pin(task)));
        }
    }
}

impl ClusterLocks {
    pub(super) async fn acquire_shared(
        self: &Arc<Self>,
        (owner, process_id): (LockOwner, u32),
        lock: AdvisoryKey,
        mode: LockMode,
        waits: bool,
    ) -> ExecResult<bool> {
        let ticket = self.db.unique_numbers(1);
        self.state.lock().requests += 1;
        let mut request = Request { locks: self.clone(), lock, ticket, is_asked: false };
        let mut look_at = self.env.monotonic() + DEADLOCK_AFTER;
        loop {
            let run = self.hold_lease().await?;
            let claim = Claim { run, owner: owner.0, process_id, mode, ticket };
            let woken = self.expect(owner, lock, mode, ticket);
            request.is_asked = true;
            match self.ask(lock, claim, waits).await? {
                Outcome::Granted if self.note_held(claim, lock) => {
                    request.is_asked = false;
                    return Ok(true);
                }
                // Granted to a run that is over: again.
                Outcome::Granted => continue,
                Outcome::Busy => {
                    request.is_asked = false;
                    return Ok(false);
                }
                Outcome::Full => {
                    let message = "too many sessions wait for an advisory lock";
                    return Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
                }
                Outcome::Queued => drop(select(woken, self.env.sleep(POLL)).await),
            }
            if self.env.monotonic() >= look_at {
                self.look_for_deadlock(lock, mode, ticket).await?;
                look_at = self.env.monotonic() + DEADLOCK_AFTER;
            }
        }
    }

    /// From now on a grant wakes the request.
    fn expect(
        &self,
        owner: LockOwner,
        lock: AdvisoryKey,
        mode: LockMode,
        ticket: i64,
    ) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let waiting = Waiting { owner, lock, mode, wake: Some(wake) };
        self.state.lock().waiting.insert(ticket, waiting);
        woken
    }

    /// What was granted is held, if the run lives.
    fn note_held(&self, claim: Claim, lock: AdvisoryKey) -> bool {
        let mut state = self.state.lock();
        if state.run != claim.run {
            return false;
        }
        let holdings = state.held.entry(LockOwner(claim.owner)).or_default();
        holdings.process_id = claim.process_id;
        holdings.locks.insert((lock, claim.mode), claim.ticket);
        true
    }

    async fn ask(self: &Arc<Self>, lock: AdvisoryKey, claim: Claim, waits: bool) -> ExecResult<Outcome> {
        let mut granted = Vec::new();
        let outcome: ExecResult<Outcome> = in_own_transaction!(self.db, |txn| async {
            let before = read(&txn, lock).await?;
            let mut record = before.clone();
            granted = self.bury(&txn, &mut record, claim.run).await?;
            let outcome = record.request(claim, waits);
            write(&txn, lock, &before, &record)?;
            Ok::<_, ExecError>(outcome)
        }
        .await);
        self.tell(granted);
        outcome
    }

    /// Takes out the claims of the dead; answers to whom something was granted thereby.
    async fn bury(&self, txn: &Txn, record: &mut LockRecord, own: Run) -> ExecResult<Vec<Claim>> {
        let mut dead = Vec::new();
        for run in record.runs().into_iter().filter(|run| *run != own) {
            let key = record::lease_key(run.node);
            let lease = txn.get(&key, Locking::NONE).await?;
            let lease = lease.map(|bytes| NodeLease::decode(&bytes)).transpose().map_err(malformed)?;
            match lease {
                Some(lease) if lease.number == run.number && lease.until >= txn.read_timestamp() => {}
                Some(lease) if lease.number == run.number => {
                    // It cannot prolong any more.
                    txn.delete(&key)?;
                    dead.push(run);
                }
                _ => dead.push(run),
            }
        }
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        Ok(record.bury(|run| dead.contains(&run)))
    }

    /// Gives back what a session holds.
    pub(super) async fn give_back(self: Arc<Self>, owner: LockOwner, locks: Vec<(AdvisoryKey, LockMode)>) {
        // Before, what memory has granted may not be in the record yet.
        while let Err(error) = self.published().await {
            tracing::warn!(error = %error.into_pg_error(), "advisory locks are not given back yet");
        }
        let tickets = {
            let mut state = self.state.lock();
            let Some(holdings) = state.held.get_mut(&owner) else { return };
            let taken = locks.iter().filter_map(|held| Some((held.0, holdings.locks.remove(held)?)));
            let taken: Vec<(AdvisoryKey, i64)> = taken.collect();
            if holdings.locks.is_empty() {
                state.held.remove(&owner);
            }
            taken
        };
        for some in tickets.chunks(RELEASE_COUNT_MAX) {
            self.clone().give_up(some.to_vec()).await;
        }
    }

    /// Takes requests out of records, granted or not, however long it takes.
    async fn give_up(self: Arc<Self>, tickets: Vec<(AdvisoryKey, i64)>) {
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        let mut prng = Prng::new(self.env.entropy());
        loop {
            let mut granted = Vec::new();
            let written: ExecResult<()> = in_own_transaction!(self.db, |txn| async {
                granted.clear();
                for (lock, ticket) in &tickets {
                    let before = read(&txn, *lock).await?;
                    let mut record = before.clone();
                    granted.extend(record.give_up(*ticket));
                    write(&txn, *lock, &before, &record)?;
                }
                Ok::<_, ExecError>(())
            }
            .await);
            let Err(error) = written else { return self.tell(granted) };
            tracing::debug!(error = %error.into_pg_error(), "an advisory lock is not given back yet");
            self.env.sleep(backoff.next_wait(&mut prng)).await;
        }
    }

    /// Wakes requests that were granted, wherever they wait.
    fn tell(self: &Arc<Self>, granted: Vec<Claim>) {
        let own = self.state.lock().run.node;
        let mut elsewhere: BTreeMap<NodeId, Vec<ReportRow>> = BTreeMap::new();
        for claim in granted {
            match claim.run.node {
                node if node == own => self.wake(claim.ticket),
                node => elsewhere.entry(node).or_default().push(report_row![claim.ticket]),
            }
        }
        let Some(server) = self.server.get().and_then(Weak::upgrade) else { return };
        for (node, rows) in elsewhere {
            let (server, env) = (server.clone(), self.env.clone());
            let task = async move {
                let Some(surroundings) = server.surroundings() else { return };
                let told = surroundings.tell(node, topics::GRANTED_LOCKS, rows);
                // Should it not hear, it looks by itself.
                let _ = env::timeout(&*env, TELL_TIME_MAX, told).await;
            };
            drop(self.env.spawn("advisory-grants", Box::pin(task)));
        }
    }

    async fn look_for_deadlock(&self, lock: AdvisoryKey, mode: LockMode, ticket: i64) -> ExecResult<()> {
        let records: Vec<LockRecord> = self.read_all().await?.into_iter().map(|(_, record)| record).collect();
        if !deadlock::is_victim(&records, ticket) {
            return Ok(());
        }
        let detail = format!(
            "Waiting for {} on {} would wait for a session that waits for this one.",
            mode.name(),
            LockTag::Advisory(lock).describe()
        );
        Err(PgError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected").detail(detail).into())
    }

    /// All records as they are at one time, without the claims of the dead.
    pub(super) async fn read_all(&self) -> ExecResult<Vec<(AdvisoryKey, LockRecord)>> {
        in_own_transaction!(self.db, |txn| async {
            let mut leases = BTreeMap::new();
            let mut records = Vec::new();
            let mut scan = txn.scan(kvclient::ScanOptions::forward(record::leases_span()));
            while let Some(page) = scan.next_page(&txn).await? {
                for row in page.iter() {
                    let lease = NodeLease::decode(row.value.unwrap_or_default()).map_err(malformed)?;
                    if let Some(node) = record::parse_lease_key(row.key) {
                        leases.insert(node, lease);
                    }
                }
            }
            let now = txn.read_timestamp();
            let is_dead = |run: Run| {
                leases.get(&run.node).is_none_or(|lease| lease.number != run.number || lease.until < now)
            };
            let mut scan = txn.scan(kvclient::ScanOptions::forward(record::locks_span()));
            while let Some(page) = scan.next_page(&txn).await? {
                for row in page.iter() {
                    let mut record = LockRecord::decode(row.value.unwrap_or_default()).map_err(malformed)?;
                    let _ = record.bury(is_dead);
                    let lock = record::parse_lock_key(row.key);
                    records.extend(lock.filter(|_| !record.is_empty()).map(|lock| (lock, record)));
                }
            }
            Ok::<_, ExecError>(records)
        }
        .await)
    }
}

/// Reads a lock, to be changed.
async fn read(txn: &Txn, lock: AdvisoryKey) -> ExecResult<LockRecord> {
    let found = txn.get(&record::lock_key(lock), Locking::INSERT).await?;
    let record = found.map(|bytes| LockRecord::decode(&bytes)).transpose().map_err(malformed)?;
    Ok(record.unwrap_or_default())
}

fn write(txn: &Txn, lock: AdvisoryKey, before: &LockRecord, record: &LockRecord) -> ExecResult<()> {
    let key = record::lock_key(lock);
    match record.is_empty() {
        _ if record == before => {}
        true => txn.delete(&key)?,
        false => txn.put(&key, &record.encode())?,
    }
    Ok(())
}
