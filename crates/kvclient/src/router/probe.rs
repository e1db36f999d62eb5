//! Routing of probes: the first of many keys, as far as they lie in one range.

use keys::{Key, NodeId};
use kvapi::{
    BatchRequest, Header, KeyBlock, KvError, ProbeRequest, ProbeResponse, Request, Response, Timestamp,
};

use super::{Retry, Router, given_up, unexpected};

/// What a program has made of what was found for some keys, and where it was read.
pub(crate) struct ProbeAnswer {
    pub answer: ProbeResponse,
    pub node: NodeId,
    pub read_timestamp: Timestamp,
}

/// Whether an answer says something that can be gone on from.
fn is_progress(answer: &ProbeResponse, asked: usize, from: &Key) -> bool {
    let probed = answer.probed as usize;
    let goes_on = answer.resume.as_ref().is_some_and(|resume| resume > from);
    (probed > 0 || goes_on) && (probed < asked || (probed == asked && answer.resume.is_none()))
}

impl Router {
    /// Asks the range of the first key for what a program makes of what is found for that key and for those behind it that lie there.
    /// `None`: what begins with the first prefix lies in several ranges.
    pub async fn probe_page(
        &self,
        header: &Header,
        request: ProbeRequest,
    ) -> Result<Option<ProbeAnswer>, KvError> {
        let mut retry = Retry::new();
        let mut part = request;
        loop {
            let route = self.route(part.keys.key(0).max(&part.from[..])).await?;
            let end = &route.descriptor.span.end[..];
            // All that begins with a prefix lies before `end` if the prefix does, unless that begins with it.
            let fits = |key: &&[u8]| *key < end && !(part.are_prefixes && end.starts_with(key));
            let within = part.keys.iter().take_while(fits).count();
            if within == 0 {
                return Ok(None);
            }
            if within < part.keys.len() {
                part.keys = part.keys.iter().take(within).collect::<KeyBlock>();
            }
            let from = part.from.clone();
            let mut batch = BatchRequest::new(header.clone(), part);
            match self.send_once(&route, &mut batch).await {
                Ok(mut response) => {
                    let (node, read_timestamp) = (response.node, response.read_timestamp);
                    return match response.responses.pop() {
                        Some(Response::Probe(answer)) if is_progress(&answer, within, &from) => {
                            Ok(Some(ProbeAnswer { answer, node, read_timestamp }))
                        }
                        other => Err(unexpected(other)),
                    };
                }
                Err(error) => {
                    if !self.prepare_retry(&route, &error, &mut retry).await {
                        return Err(given_up(&route, error));
                    }
                }
            }
            let Some(Request::Probe(again)) = batch.requests.pop() else {
                unreachable!("the batch was built with one probe")
            };
            part = *again;
        }
    }
}
