//! What a crash of the in-memory engine may leave.

mod support;

use storage::{
    Durability, Engine, Keyspace, MemoryDisk, MemoryEngine, MemoryOptions, Reader, StorageError, WriteBatch,
};

fn put(engine: &MemoryEngine, keyspace: Keyspace, number: u8, durability: Durability) {
    let mut batch = WriteBatch::new();
    batch.put(keyspace, b"applied", &[number]);
    batch.put(keyspace, &[number], b"x");
    engine.write(&batch, durability).expect("writes");
}

fn applied(engine: &dyn Engine, keyspace: Keyspace) -> Option<u8> {
    engine.get(keyspace, b"applied").expect("reads").map(|value| value[0])
}

#[test]
fn each_side_is_left_at_some_point_after_what_is_durable() {
    for (log_kept, state_kept) in [(0, 0), (1, 2), (2, 0), (9, 9)] {
        let disk = MemoryDisk::new();
        let engine = disk.open(MemoryOptions::default()).expect("opens");
        put(&engine, Keyspace::RaftLog, 1, Durability::Synced);
        put(&engine, Keyspace::Current, 1, Durability::Buffered);
        engine.flush().expect("flushes");
        for number in 2..=4 {
            put(&engine, Keyspace::RaftLog, number, Durability::Buffered);
            put(&engine, Keyspace::Current, number, Durability::Buffered);
        }
        assert_eq!(disk.pending_counts(), (3, 3));
        disk.crash(log_kept, state_kept);
        let engine = disk.open(MemoryOptions::default()).expect("opens");
        let expected = |kept: usize| Some(1 + kept.min(3) as u8);
        assert_eq!(applied(&*engine, Keyspace::RaftLog), expected(log_kept));
        assert_eq!(applied(&*engine, Keyspace::Current), expected(state_kept));
        for number in 1..=4 {
            let there = engine.get(Keyspace::Current, &[number]).expect("reads").is_some();
            assert_eq!(there, Some(number) <= expected(state_kept), "a write is there whole or not at all");
        }
    }
}

#[test]
fn an_engine_that_crashed_is_dead_and_a_disk_is_opened_once() {
    let disk = MemoryDisk::new();
    let engine = disk.open(MemoryOptions::default()).expect("opens");
    assert!(matches!(disk.open(MemoryOptions::default()), Err(StorageError::Locked { .. })));
    disk.crash(0, 0);
    let successor = disk.open(MemoryOptions::default()).expect("opens");
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::Current, b"late", b"x");
    assert!(matches!(engine.write(&batch, Durability::Buffered), Err(StorageError::Poisoned(_))));
    assert!(matches!(engine.flush(), Err(StorageError::Poisoned(_))));
    drop(engine);
    assert!(
        matches!(disk.open(MemoryOptions::default()), Err(StorageError::Locked { .. })),
        "still the successor's"
    );
    assert!(successor.get(Keyspace::Current, b"late").expect("reads").is_none());
}

#[test]
fn the_state_is_flushed_when_enough_is_buffered() {
    let disk = MemoryDisk::new();
    let engine = disk.open(MemoryOptions { flush_bytes: 30, ..MemoryOptions::default() }).expect("opens");
    put(&engine, Keyspace::Current, 1, Durability::Buffered);
    put(&engine, Keyspace::Current, 2, Durability::Buffered);
    assert!(engine.unflushed_bytes() > 0);
    assert!(engine.flushed(Keyspace::Current, b"applied").expect("reads").is_none());
    put(&engine, Keyspace::Current, 3, Durability::Buffered);
    assert_eq!(engine.unflushed_bytes(), 0);
    assert_eq!(engine.flushed(Keyspace::Current, b"applied").expect("reads").as_deref(), Some(&[3][..]));
}

#[test]
fn a_full_disk_refuses_writes_and_keeps_what_it_has() {
    let disk = MemoryDisk::new();
    let engine = disk.open(MemoryOptions::default()).expect("opens");
    put(&engine, Keyspace::RaftLog, 1, Durability::Synced);
    disk.set_full(true);
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::RaftLog, b"applied", &[2]);
    assert!(matches!(engine.write(&batch, Durability::Synced), Err(StorageError::Io(_))));
    disk.set_full(false);
    assert_eq!(applied(&*engine, Keyspace::RaftLog), Some(1));
}
