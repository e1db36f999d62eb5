//! bytea and bit strings: rows of pg_proc.

use super::functions;
use super::prelude::*;

functions! {
    6162 "bit_count" (Bit) -> Int8, strict Immutable, Missing;
    6163 "bit_count" (Bytea) -> Int8, strict Immutable, Missing;
    1810 "bit_length" (Bytea) -> Int4, strict Immutable, Missing;
    1812 "bit_length" (Bit) -> Int4, strict Immutable, Missing;
    1673 "bitand" (Bit, Bit) -> Bit, strict Immutable, Missing;
    1679 "bitcat" (Varbit, Varbit) -> Varbit, strict Immutable, Missing;
    1676 "bitnot" (Bit) -> Bit, strict Immutable, Missing;
    1674 "bitor" (Bit, Bit) -> Bit, strict Immutable, Missing;
    1677 "bitshiftleft" (Bit, Int4) -> Bit, strict Immutable, Missing;
    1678 "bitshiftright" (Bit, Int4) -> Bit, strict Immutable, Missing;
    1675 "bitxor" (Bit, Bit) -> Bit, strict Immutable, Missing;
    2015 "btrim" (Bytea, Bytea) -> Bytea, strict Immutable, Missing;
    2011 "byteacat" (Bytea, Bytea) -> Bytea, strict Immutable, Missing;
    1813 "convert" (Bytea, Name, Name) -> Bytea, strict Stable, Missing;
    1714 "convert_from" (Bytea, Name) -> Text, strict Stable, Missing;
    1717 "convert_to" (Text, Name) -> Bytea, strict Stable, Missing;
    1947 "decode" (Text, Text) -> Bytea, strict Immutable, Missing;
    1946 "encode" (Bytea, Text) -> Text, strict Immutable, Missing;
    723 "get_bit" (Bytea, Int8) -> Int4, strict Immutable, Missing;
    3032 "get_bit" (Bit, Int4) -> Int4, strict Immutable, Missing;
    721 "get_byte" (Bytea, Int4) -> Int4, strict Immutable, Missing;
    1681 "length" (Bit) -> Int4, strict Immutable, Missing;
    1713 "length" (Bytea, Name) -> Int4, strict Stable, Missing;
    2010 "length" (Bytea) -> Int4, strict Immutable, Missing;
    6195 "ltrim" (Bytea, Bytea) -> Bytea, strict Immutable, Missing;
    720 "octet_length" (Bytea) -> Int4, strict Immutable, Missing;
    1682 "octet_length" (Bit) -> Int4, strict Immutable, Missing;
    749 "overlay" (Bytea, Bytea, Int4, Int4) -> Bytea, strict Immutable, Missing;
    752 "overlay" (Bytea, Bytea, Int4) -> Bytea, strict Immutable, Missing;
    3030 "overlay" (Bit, Bit, Int4, Int4) -> Bit, strict Immutable, Missing;
    3031 "overlay" (Bit, Bit, Int4) -> Bit, strict Immutable, Missing;
    1698 "position" (Bit, Bit) -> Int4, strict Immutable, Missing;
    2014 "position" (Bytea, Bytea) -> Int4, strict Immutable, Missing;
    6196 "rtrim" (Bytea, Bytea) -> Bytea, strict Immutable, Missing;
    724 "set_bit" (Bytea, Int8, Int4) -> Bytea, strict Immutable, Missing;
    3033 "set_bit" (Bit, Int4, Int4) -> Bit, strict Immutable, Missing;
    722 "set_byte" (Bytea, Int4, Int4) -> Bytea, strict Immutable, Missing;
    3419 "sha224" (Bytea) -> Bytea, strict Immutable, Missing;
    3420 "sha256" (Bytea) -> Bytea, strict Immutable, Missing;
    3421 "sha384" (Bytea) -> Bytea, strict Immutable, Missing;
    3422 "sha512" (Bytea) -> Bytea, strict Immutable, Missing;
    2085 "substr" (Bytea, Int4, Int4) -> Bytea, strict Immutable, Missing;
    2086 "substr" (Bytea, Int4) -> Bytea, strict Immutable, Missing;
    1680 "substring" (Bit, Int4, Int4) -> Bit, strict Immutable, Missing;
    1699 "substring" (Bit, Int4) -> Bit, strict Immutable, Missing;
    2012 "substring" (Bytea, Int4, Int4) -> Bytea, strict Immutable, Missing;
    2013 "substring" (Bytea, Int4) -> Bytea, strict Immutable, Missing;
}
