//! How clients reach the node: a pipe of bytes, whose far end dies with the node's process.

use env::Env;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use pgserver::Peer;
use stdx::Prng;
use workload::{Client, Connector, Failure};

use crate::machine::{Place, Serving};
use crate::protocol::ProtocolClient;

/// Bytes on their way in each direction: little, so that results wait for their readers.
const PIPE_BYTES: usize = 2048;

/// Connects to one of the nodes that serve.
pub struct Network {
    places: Vec<Place>,
    /// Clients hang up after a drawn number of statements below this; `None`: never.
    statements_max: Option<u64>,
    prng: Mutex<Prng>,
}

impl Network {
    pub fn new(places: Vec<Place>, statements_max: Option<u64>, prng: Prng) -> Network {
        Network { places, statements_max, prng: Mutex::new(prng) }
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
            Ok(Box::new(client) as Box<dyn Client>)
        })
    }
}
