//! bytea and bit strings: rows of pg_proc.

use super::functions;
use super::prelude::*;
use crate::functions::binary;

functions! {
    6162 "bit_count" (Bit) -> Int8, strict Immutable, Scalar(binary::bit_bit_count);
    6163 "bit_count" (Bytea) -> Int8, strict Immutable, Scalar(binary::bytea_bit_count);
    1810 "bit_length" (Bytea) -> Int4, strict Immutable, Scalar(binary::sql_bit_length_bytea);
    1812 "bit_length" (Bit) -> Int4, strict Immutable, Scalar(binary::sql_bit_length_bit);
    1673 "bitand" (Bit, Bit) -> Bit, strict Immutable, Scalar(binary::bit_and);
    1679 "bitcat" (Varbit, Varbit) -> Varbit, strict Immutable, Scalar(binary::bitcat);
    1676 "bitnot" (Bit) -> Bit, strict Immutable, Scalar(binary::bitnot);
    1674 "bitor" (Bit, Bit) -> Bit, strict Immutable, Scalar(binary::bit_or);
    1677 "bitshiftleft" (Bit, Int4) -> Bit, strict Immutable, Scalar(binary::bitshiftleft);
    1678 "bitshiftright" (Bit, Int4) -> Bit, strict Immutable, Scalar(binary::bitshiftright);
    1675 "bitxor" (Bit, Bit) -> Bit, strict Immutable, Scalar(binary::bitxor);
    2015 "btrim" (Bytea, Bytea) -> Bytea, strict Immutable, Scalar(binary::byteatrim);
    2011 "byteacat" (Bytea, Bytea) -> Bytea, strict Immutable, Scalar(binary::byteacat);
    1813 "convert" (Bytea, Name, Name) -> Bytea, strict Stable, Scalar(binary::pg_convert);
    1714 "convert_from" (Bytea, Name) -> Text, strict Stable, Scalar(binary::pg_convert_from);
    1717 "convert_to" (Text, Name) -> Bytea, strict Stable, Scalar(binary::pg_convert_to);
    1947 "decode" (Text, Text) -> Bytea, strict Immutable, Scalar(binary::binary_decode);
    1946 "encode" (Bytea, Text) -> Text, strict Immutable, Scalar(binary::binary_encode);
    723 "get_bit" (Bytea, Int8) -> Int4, strict Immutable, Scalar(binary::byteagetbit);
    3032 "get_bit" (Bit, Int4) -> Int4, strict Immutable, Scalar(binary::bitgetbit);
    721 "get_byte" (Bytea, Int4) -> Int4, strict Immutable, Scalar(binary::byteagetbyte);
    1681 "length" (Bit) -> Int4, strict Immutable, Scalar(binary::bitlength);
    1713 "length" (Bytea, Name) -> Int4, strict Stable, Scalar(binary::length_in_encoding);
    2010 "length" (Bytea) -> Int4, strict Immutable, Scalar(binary::byteaoctetlen);
    6195 "ltrim" (Bytea, Bytea) -> Bytea, strict Immutable, Scalar(binary::bytealtrim);
    720 "octet_length" (Bytea) -> Int4, strict Immutable, Scalar(binary::byteaoctetlen);
    1682 "octet_length" (Bit) -> Int4, strict Immutable, Scalar(binary::bitoctetlength);
    749 "overlay" (Bytea, Bytea, Int4, Int4) -> Bytea, strict Immutable, Scalar(binary::byteaoverlay);
    752 "overlay" (Bytea, Bytea, Int4) -> Bytea, strict Immutable, Scalar(binary::byteaoverlay_no_len);
    3030 "overlay" (Bit, Bit, Int4, Int4) -> Bit, strict Immutable, Scalar(binary::bitoverlay);
    3031 "overlay" (Bit, Bit, Int4) -> Bit, strict Immutable, Scalar(binary::bitoverlay_no_len);
    1698 "position" (Bit, Bit) -> Int4, strict Immutable, Scalar(binary::bitposition);
    2014 "position" (Bytea, Bytea) -> Int4, strict Immutable, Scalar(binary::byteapos);
    6196 "rtrim" (Bytea, Bytea) -> Bytea, strict Immutable, Scalar(binary::byteartrim);
    724 "set_bit" (Bytea, Int8, Int4) -> Bytea, strict Immutable, Scalar(binary::byteasetbit);
    3033 "set_bit" (Bit, Int4, Int4) -> Bit, strict Immutable, Scalar(binary::bitsetbit);
    722 "set_byte" (Bytea, Int4, Int4) -> Bytea, strict Immutable, Scalar(binary::byteasetbyte);
    3419 "sha224" (Bytea) -> Bytea, strict Immutable, Scalar(binary::sha224_bytea);
    3420 "sha256" (Bytea) -> Bytea, strict Immutable, Scalar(binary::sha256_bytea);
    3421 "sha384" (Bytea) -> Bytea, strict Immutable, Scalar(binary::sha384_bytea);
    3422 "sha512" (Bytea) -> Bytea, strict Immutable, Scalar(binary::sha512_bytea);
    2085 "substr" (Bytea, Int4, Int4) -> Bytea, strict Immutable, Scalar(binary::bytea_substr);
    2086 "substr" (Bytea, Int4) -> Bytea, strict Immutable, Scalar(binary::bytea_substr_no_len);
    1680 "substring" (Bit, Int4, Int4) -> Bit, strict Immutable, Scalar(binary::bitsubstr);
    1699 "substring" (Bit, Int4) -> Bit, strict Immutable, Scalar(binary::bitsubstr_no_len);
    2012 "substring" (Bytea, Int4, Int4) -> Bytea, strict Immutable, Scalar(binary::bytea_substr);
    2013 "substring" (Bytea, Int4) -> Bytea, strict Immutable, Scalar(binary::bytea_substr_no_len);
}
