//! Who is asked for news, and when.
//!
//! Every half second a node says that it lives (its record's version rises) and exchanges news with one other node, drawn at
//! random of those that can be reached. When none can, and the node was told addresses to start with, it tries one of these: the
//! others may all have moved.

use std::sync::{Arc, Weak};

use env::Env;
use proto::v1;
use stdx::Prng;

use crate::connection::Connection;
use crate::limits;
use crate::network::Shared;

/// Runs until the network stops or is gone.
pub(crate) async fn run(shared: Weak<Shared>, env: Arc<dyn Env>) {
    let mut prng = Prng::new(env.entropy());
    loop {
        let Some(held) = shared.upgrade() else { return };
        if held.is_stopped() {
            return;
        }
        let clock = held.told_clock();
        held.roster.write().speak(env.monotonic(), clock);
        let exchange = Box::pin(exchange_with_somebody(&held, &mut prng));
        let exchanged = env::timeout(&*env, limits::GOSSIP_TIME_MAX, exchange).await.unwrap_or(false);
        drop(held);
        // Not all at the same moment; and sooner as long as nobody has heard of this node.
        let half = if exchanged { limits::GOSSIP_INTERVAL } else { limits::GOSSIP_RETRY_INTERVAL } / 2;
        let wait = half + half.mul_f64(prng.below(1000) as f64 / 500.0);
        env.sleep(wait).await;
    }
}

/// Whether somebody answered.
async fn exchange_with_somebody(shared: &Arc<Shared>, prng: &mut Prng) -> bool {
    let reachable: Vec<_> = shared.peers().iter().filter_map(|peer| peer.main()).collect();
    if !reachable.is_empty() {
        return exchange(shared, &reachable[prng.index(reachable.len())]).await;
    }
    let seeds = &shared.config.seeds;
    if seeds.is_empty() || shared.roster.read().peers().is_empty() && shared.services.get().is_some() {
        return false;
    }
    let seed = &seeds[prng.index(seeds.len())];
    if *seed == shared.config.addresses.rpc {
        return false;
    }
    match shared.connect_to(seed, shared.hello(v1::Role::Node, None)).await {
        Ok(connection) => exchange(shared, &connection).await,
        Err(error) => {
            shared.refused(&error);
            tracing::debug!(seed, %error, "no news from there");
            false
        }
    }
}

/// Both know the same afterwards, unless the connection fails. Whether it was answered.
async fn exchange(shared: &Arc<Shared>, connection: &Connection) -> bool {
    let digest = shared.roster.read().digest();
    let request = v1::GossipRequest { digest: Some(digest), news: None };
    let answer = match connection.node().gossip(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            tracing::debug!(address = connection.address, %status, "no news from there");
            return false;
        }
    };
    shared.absorb(answer.news.unwrap_or_default());
    let news = shared.roster.read().news_for(&answer.digest.unwrap_or_default());
    if news == v1::News::default() {
        return true;
    }
    let request = v1::GossipRequest { digest: None, news: Some(news) };
    if let Err(status) = connection.node().gossip(request).await {
        tracing::debug!(address = connection.address, %status, "news were not taken there");
        return false;
    }
    true
}

/// Answers another node.
pub(crate) fn answer(shared: &Arc<Shared>, request: v1::GossipRequest) -> v1::GossipResponse {
    if let Some(news) = request.news {
        shared.absorb(news);
    }
    let Some(digest) = request.digest else { return v1::GossipResponse::default() };
    let roster = shared.roster.read();
    v1::GossipResponse { news: Some(roster.news_for(&digest)), digest: Some(roster.digest()) }
}
