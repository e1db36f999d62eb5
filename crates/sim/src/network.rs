//! How clients reach the node: a pipe of bytes, whose far end dies with the node's process.

use std::sync::Arc;
use std::time::Duration;

use env::{Env, SimEnv};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use pgserver::Peer;
use stdx::Prng;
use workload::{Answer, Client, Connector, Failure, Parameter};

use crate::machine::{Place, Serving};
use crate::protocol::ProtocolClient;

/// Bytes on their way in each direction: little, so that results wait for their readers.
const PIPE_BYTES: usize = 2048;

/// Connects to one of the nodes that serve.
pub struct Network {
    places: Vec<Place>,
    /// Clients hang up after a drawn number of statements below this; `None`: never.
    statements_max: Option<u64>,
    /// Where clients think, and for how long at most.
    thinking: Option<(Arc<SimEnv>, Duration)>,
    prng: Mutex<Prng>,
}

impl Network {
    pub fn new(places: Vec<Place>, statements_max: Option<u64>, prng: Prng) -> Network {
        Network { places, statements_max, thinking: None, prng: Mutex::new(prng) }
    }

    /// The same with clients that think, on `env`, for up to `most` before each statement.
    pub fn thinking(self, env: Arc<SimEnv>, most: Duration) -> Network {
        Network { thinking: Some((env, most)), ..self }
    }
}

/// A client that takes its time.
struct Thinker {
    client: ProtocolClient,
    env: Arc<SimEnv>,
    most: Duration,
    prng: Prng,
}

impl Client for Thinker {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter],
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let nanos = self.prng.below(self.most.as_nanos() as u64 + 1);
            self.env.sleep(Duration::from_nanos(nanos)).await;
            self.client.execute(sql, parameters).await
        })
    }
}

impl Connector for Network {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Client>, Failure>> {
        Box::pin(async move {
            let serving: Vec<Serving> = self.places.iter().filter_map(Place::serving).collect();
            let drawn = match serving.len() {
                0 => return Err(Failure::lost("nobody listens")),
                1 => 0,
                several => self.prng.lock().index(several),
            };
            let serving = &serving[drawn];
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            drop(serving.env.spawn("connection", serving.server.handle(far, Peer::Local)));
            let statements_left = self.statements_max.map(|max| self.prng.lock().below(max));
            let client = ProtocolClient::start(near, statements_left).await?;
            let Some((env, most)) = &self.thinking else { return Ok(Box::new(client) as Box<dyn Client>) };
            let prng = self.prng.lock().fork();
            Ok(Box::new(Thinker { client, env: env.clone(), most: *most, prng }))
        })
    }
}
