//! Who grants locks, and this node's lease.

use super::*;

impl ClusterLocks {
    /// Finds out who grants locks: this node alone, from its memory, or records.
    pub(super) async fn settle(self: &Arc<Self>) -> ExecResult<()> {
        let _settling = self.settling.lock().await;
        if self.is_settled.load(Ordering::Acquire) {
            return Ok(());
        }
        // Nobody else will ever ask.
        if self.others.is_none() {
            self.is_settled.store(true, Ordering::Release);
            return Ok(());
        }
        self.state.lock().run.number = self.db.unique_numbers(1);
        let deadline = self.env.monotonic() + PATIENCE;
        loop {
            let run = self.state.lock().run;
            let standing = in_own_transaction!(self.db, |txn| self.decide(&txn, run).await)?;
            match standing {
                Standing::Shared => {
                    // Nothing was granted from memory before it was settled.
                    drop(self.memory.close_advisory());
                    self.is_shared.store(true, Ordering::Release);
                    break;
                }
                Standing::Alone(alone) if alone == run => break,
                Standing::Alone(other) if self.env.monotonic() >= deadline => {
                    let message = format!("node {} does not share its advisory locks yet", other.node);
                    return Err(PgError::new(SqlState::CANNOT_CONNECT_NOW, message).into());
                }
                Standing::Alone(_) => self.env.sleep(TICK).await,
            }
        }
        self.is_settled.store(true, Ordering::Release);
        drop(self.env.spawn("advisory-locks", Box::pin(keep(self.env.clone(), Arc::downgrade(self)))));
        Ok(())
    }

    /// Reads who grants locks, and says who will if nobody that lives has.
    async fn decide(&self, txn: &Txn, run: Run) -> ExecResult<Standing> {
        let key = record::standing_key();
        let found = txn.get(&key, Locking::UPDATE).await?;
        let found = found.map(|bytes| Standing::decode(&bytes)).transpose().map_err(malformed)?;
        let decided = match found {
            Some(Standing::Shared) => return Ok(Standing::Shared),
            // Another one's memory counts until it says otherwise, or is gone for good. An earlier process's is gone.
            Some(standing @ Standing::Alone(other))
                if other.node != run.node && !self.is_gone(other.node) =>
            {
                return Ok(standing);
            }
            _ if self.has_others() => Standing::Shared,
            _ => Standing::Alone(run),
        };
        txn.put(&key, &decided.encode())?;
        Ok(decided)
    }

    fn is_gone(&self, node: NodeId) -> bool {
        let Some(server) = self.server.get().and_then(Weak::upgrade) else { return false };
        let Some(surroundings) = server.surroundings() else { return false };
        let nodes = surroundings.nodes();
        let known = nodes.iter().find(|known| known.info.node == node);
        known.is_some_and(|known| known.info.standing == Membership::Decommissioned)
    }

    /// Completes when this node's locks are records.
    pub(super) async fn published(&self) -> ExecResult<()> {
        let deadline = self.env.monotonic() + PATIENCE;
        while !self.is_shared.load(Ordering::Acquire) {
            if self.env.monotonic() >= deadline {
                let message = "the advisory locks of this node cannot be shared with the cluster";
                return Err(PgError::new(SqlState::CANNOT_CONNECT_NOW, message).into());
            }
            self.env.sleep(TICK / 10).await;
        }
        Ok(())
    }

    /// There is another node: what memory has granted becomes records.
    async fn publish(&self) {
        let rows = self.memory.close_advisory();
        let (run, process_ids) = (self.state.lock().run, self.process_ids());
        let mut records: BTreeMap<AdvisoryKey, LockRecord> = BTreeMap::new();
        let mut held: BTreeMap<LockOwner, Holdings> = BTreeMap::new();
        for LockRow { tag, owner, mode, .. } in rows {
            let LockTag::Advisory(lock) = tag else { continue };
            let process_id = process_ids.get(&owner).copied().unwrap_or_default();
            let ticket = self.db.unique_numbers(1);
            let claim = Claim { run, owner: owner.0, process_id, mode, ticket };
            records.entry(lock).or_default().held.push(claim);
            let holdings = held.entry(owner).or_default();
            holdings.process_id = process_id;
            holdings.locks.insert((lock, mode), ticket);
        }
        loop {
            let until = self.db.now().saturating_add(LEASE);
            let lease = NodeLease { number: run.number, until };
            let written: ExecResult<()> = in_own_transaction!(self.db, |txn| async {
                txn.put(&record::lease_key(run.node), &lease.encode())?;
                for (lock, record) in &records {
                    txn.put(&record::lock_key(*lock), &record.encode())?;
                }
                txn.put(&record::standing_key(), &Standing::Shared.encode())?;
                Ok::<_, ExecError>(())
            }
            .await);
            let Err(error) = written else {
                self.until.store(until.wall, Ordering::Release);
                break;
            };
            // Nobody else grants anything before it is written: there is time.
            tracing::warn!(error = %error.into_pg_error(), "advisory locks cannot be shared yet; it is tried again");
            self.env.sleep(TICK).await;
        }
        let mut state = self.state.lock();
        state.is_recorded = true;
        state.held = held;
        drop(state);
        self.is_shared.store(true, Ordering::Release);
    }

    fn process_ids(&self) -> BTreeMap<LockOwner, u32> {
        let server = self.server.get().and_then(Weak::upgrade);
        let sessions = server.map(|server| server.sessions()).unwrap_or_default();
        sessions.iter().map(|session| (session.lock_owner, session.key.process_id())).collect()
    }

    /// What is left of the lease.
    fn left(&self) -> Duration {
        Timestamp::new(self.until.load(Ordering::Acquire), 0).wall_since(self.db.now())
    }

    /// The run under which a request may be made now.
    pub(super) async fn hold_lease(&self) -> ExecResult<Run> {
        {
            let state = self.state.lock();
            if state.is_recorded && self.left() > LEFT_MIN {
                return Ok(state.run);
            }
        }
        self.renew().await
    }

    /// Says that this node lives. Should it have been taken for dead, it is, and begins anew.
    async fn renew(&self) -> ExecResult<Run> {
        let _renewing = self.renewing.lock().await;
        loop {
            let (run, was_recorded, begins) = {
                let state = self.state.lock();
                (state.run, state.is_recorded, state.begins)
            };
            while self.db.now() <= begins {
                self.env.sleep(begins.wall_since(self.db.now()) + Duration::from_millis(1)).await;
            }
            let until = self.db.now().saturating_add(LEASE);
            let lease = NodeLease { number: run.number, until };
            let key = record::lease_key(run.node);
            let lives: ExecResult<bool> = in_own_transaction!(self.db, |txn| async {
                let found = txn.get(&key, Locking::NO_KEY_UPDATE).await?;
                let found = found.map(|bytes| NodeLease::decode(&bytes)).transpose().map_err(malformed)?;
                if was_recorded && found.is_none_or(|found| found.number != run.number) {
                    return Ok::<_, ExecError>(false);
                }
                txn.put(&key, &lease.encode())?;
                Ok(true)
            }
            .await);
            if !lives? {
                self.lose(run);
                continue;
            }
            let mut state = self.state.lock();
            if state.run == run {
                state.is_recorded = true;
                self.until.store(until.wall, Ordering::Release);
                return Ok(run);
            }
        }
    }

    /// The run is over: its sessions' locks are not theirs any more.
    fn lose(&self, run: Run) {
        let held = {
            let mut state = self.state.lock();
            if state.run != run {
                return;
            }
            state.run.number = self.db.unique_numbers(1);
            state.is_recorded = false;
            state.begins = Timestamp::new(self.until.swap(0, Ordering::AcqRel), 0);
            std::mem::take(&mut state.held)
        };
        if held.is_empty() {
            return;
        }
        tracing::warn!(
            sessions = held.len(),
            "advisory locks are lost: the node could not say in time that it lives"
        );
        let Some(server) = self.server.get().and_then(Weak::upgrade) else { return };
        for holdings in held.values() {
            if let Some(session) = server.session(holdings.process_id) {
                session.terminate(lost());
            }
        }
    }

    /// Does what is due.
    async fn tick(&self) {
        if !self.memory.is_closed() {
            if self.has_others() {
                self.publish().await;
            }
            return;
        }
        let (run, is_needed) = {
            let state = self.state.lock();
            (state.run, state.is_recorded && (!state.held.is_empty() || state.requests > 0))
        };
        if !is_needed {
            return;
        }
        let left = self.left();
        if left <= MARGIN {
            self.lose(run);
        } else if left <= LEASE - RENEWAL {
            // Shorter than the margin: the next look is in time.
            let renewed = env::timeout(&*self.env, MARGIN / 2, self.renew()).await;
            if let Ok(Err(error)) = renewed {
                tracing::debug!(error = %error.into_pg_error(), "the lease of this node's advisory locks is not prolonged");
            }
        }
    }
}

/// If it is on record that this node grants from its memory, it takes care of what follows from it, though none of its sessions may ever ask for a lock.
pub(super) async fn settle_if_recorded(env: Arc<dyn Env>, locks: Weak<ClusterLocks>) {
    while let Some(held) = locks.upgrade() {
        let own = held.state.lock().run.node;
        let found = held.db.get_at(&record::standing_key(), Timestamp::ZERO).await;
        let standing = found.map(|found| found.and_then(|bytes| Standing::decode(&bytes).ok()));
        let is_done = match standing {
            Ok(Some(Standing::Alone(run))) if run.node == own => held.settle().await.is_ok(),
            Ok(_) => true,
            Err(_) => false,
        };
        drop(held);
        if is_done {
            return;
        }
        env.sleep(RENEWAL).await;
    }
}

async fn keep(env: Arc<dyn Env>, locks: Weak<ClusterLocks>) {
    loop {
        match locks.upgrade() {
            Some(locks) => locks.tick().await,
            None => return,
        }
        env.sleep(TICK).await;
    }
}
