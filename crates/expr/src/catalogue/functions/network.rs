//! inet: rows of pg_proc.

use super::functions;
use super::prelude::*;
use crate::functions::{comparison, network};

functions! {
    598 "abbrev" (Inet) -> Text, strict Immutable, Scalar(network::inet_abbrev);
    698 "broadcast" (Inet) -> Inet, strict Immutable, Scalar(network::network_broadcast);
    711 "family" (Inet) -> Int4, strict Immutable, Scalar(network::network_family);
    699 "host" (Inet) -> Text, strict Immutable, Scalar(network::network_host);
    1362 "hostmask" (Inet) -> Inet, strict Immutable, Scalar(network::network_hostmask);
    4071 "inet_same_family" (Inet, Inet) -> Bool, strict Immutable, Scalar(network::inet_same_family);
    697 "masklen" (Inet) -> Int4, strict Immutable, Scalar(network::network_masklen);
    696 "netmask" (Inet) -> Inet, strict Immutable, Scalar(network::network_netmask);
    920 "network_eq" (Inet, Inet) -> Bool, strict Immutable, Scalar(comparison::network_eq);
    924 "network_ge" (Inet, Inet) -> Bool, strict Immutable, Scalar(comparison::network_ge);
    923 "network_gt" (Inet, Inet) -> Bool, strict Immutable, Scalar(comparison::network_gt);
    922 "network_le" (Inet, Inet) -> Bool, strict Immutable, Scalar(comparison::network_le);
    921 "network_lt" (Inet, Inet) -> Bool, strict Immutable, Scalar(comparison::network_lt);
    925 "network_ne" (Inet, Inet) -> Bool, strict Immutable, Scalar(comparison::network_ne);
    3551 "network_overlap" (Inet, Inet) -> Bool, strict Immutable, Scalar(network::network_overlap);
    927 "network_sub" (Inet, Inet) -> Bool, strict Immutable, Scalar(network::network_sub);
    928 "network_subeq" (Inet, Inet) -> Bool, strict Immutable, Scalar(network::network_subeq);
    929 "network_sup" (Inet, Inet) -> Bool, strict Immutable, Scalar(network::network_sup);
    930 "network_supeq" (Inet, Inet) -> Bool, strict Immutable, Scalar(network::network_supeq);
    605 "set_masklen" (Inet, Int4) -> Inet, strict Immutable, Scalar(network::inet_set_masklen);
    730 "text" (Inet) -> Text, strict Immutable, Scalar(network::network_show);
}
