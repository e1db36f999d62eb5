//! Rows of pg_aggregate: what is known of an aggregate besides its pg_proc row.

use super::catalogue;
use super::operators::Operator;
use crate::function::FunctionRef;

/// pg_aggregate.aggkind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    Normal,
    /// `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)`.
    OrderedSet,
    /// `rank(3) WITHIN GROUP (ORDER BY x)`.
    HypotheticalSet,
}

/// A row of pg_aggregate.
pub struct AggregateRow {
    /// pg_proc.oid
    pub function_oid: u32,
    pub kind: AggregateKind,
    /// Of an ordered-set aggregate: how many arguments stand before WITHIN GROUP; -1 as many as WITHIN GROUP has.
    pub direct_arguments: i16,
    /// pg_type.oid of PostgreSQL's transition state, shown in the catalog only.
    pub transition_type_oid: u32,
    /// min and max: the operator whose first row in sort order is the answer; 0 for others.
    pub sort_operator_oid: u32,
}

impl AggregateRow {
    pub fn function(&self) -> FunctionRef {
        catalogue().function(self.function_oid).expect("every aggregate row names a function row")
    }

    pub fn sort_operator(&self) -> Option<&'static Operator> {
        catalogue().operator(self.sort_operator_oid)
    }
}

/// The pg_aggregate row of `function`; `None` when it is not an aggregate.
pub fn aggregate_row(function: FunctionRef) -> Option<&'static AggregateRow> {
    ROWS.iter().find(|row| row.function_oid == function.0.oid)
}

/// All rows, by name.
pub fn aggregate_rows() -> &'static [AggregateRow] {
    ROWS
}

macro_rules! aggregates {
    ($($oid:literal $kind:ident, $direct:literal, $transition:literal, $sort:literal;)*) => {
        static ROWS: &[AggregateRow] = &[$(AggregateRow {
            function_oid: $oid,
            kind: AggregateKind::$kind,
            direct_arguments: $direct,
            transition_type_oid: $transition,
            sort_operator_oid: $sort,
        },)*];
    };
}

//  function kind, direct arguments, transition type, sort operator
aggregates! {
    2335 Normal, 0, 2281, 0;
    4053 Normal, 0, 2281, 0;
    2100 Normal, 0, 2281, 0;
    2101 Normal, 0, 1016, 0;
    2102 Normal, 0, 1016, 0;
    2103 Normal, 0, 2281, 0;
    2104 Normal, 0, 1022, 0;
    2105 Normal, 0, 1022, 0;
    2106 Normal, 0, 1187, 0;
    2236 Normal, 0, 21, 0;
    2238 Normal, 0, 23, 0;
    2240 Normal, 0, 20, 0;
    2242 Normal, 0, 1560, 0;
    2237 Normal, 0, 21, 0;
    2239 Normal, 0, 23, 0;
    2241 Normal, 0, 20, 0;
    2243 Normal, 0, 1560, 0;
    6164 Normal, 0, 21, 0;
    6165 Normal, 0, 23, 0;
    6166 Normal, 0, 20, 0;
    6167 Normal, 0, 1560, 0;
    2517 Normal, 0, 16, 58;
    2518 Normal, 0, 16, 59;
    2829 Normal, 0, 1022, 0;
    2147 Normal, 0, 20, 0;
    2803 Normal, 0, 20, 0;
    2827 Normal, 0, 1022, 0;
    2828 Normal, 0, 1022, 0;
    3990 HypotheticalSet, 1, 2281, 0;
    3992 HypotheticalSet, 1, 2281, 0;
    2519 Normal, 0, 16, 58;
    3175 Normal, 0, 2281, 0;
    3197 Normal, 0, 2281, 0;
    3267 Normal, 0, 2281, 0;
    3270 Normal, 0, 2281, 0;
    2050 Normal, 0, 2277, 1073;
    2115 Normal, 0, 20, 413;
    2116 Normal, 0, 23, 521;
    2117 Normal, 0, 21, 520;
    2118 Normal, 0, 26, 610;
    2119 Normal, 0, 700, 623;
    2120 Normal, 0, 701, 674;
    2122 Normal, 0, 1082, 1097;
    2123 Normal, 0, 1083, 1112;
    2124 Normal, 0, 1266, 1554;
    2126 Normal, 0, 1114, 2064;
    2127 Normal, 0, 1184, 1324;
    2128 Normal, 0, 1186, 1334;
    2129 Normal, 0, 25, 666;
    2130 Normal, 0, 1700, 1756;
    2244 Normal, 0, 1042, 1060;
    2797 Normal, 0, 27, 2800;
    3526 Normal, 0, 3500, 3519;
    4189 Normal, 0, 3220, 3225;
    5099 Normal, 0, 5069, 5074;
    2051 Normal, 0, 2277, 1072;
    2131 Normal, 0, 20, 412;
    2132 Normal, 0, 23, 97;
    2133 Normal, 0, 21, 95;
    2134 Normal, 0, 26, 609;
    2135 Normal, 0, 700, 622;
    2136 Normal, 0, 701, 672;
    2138 Normal, 0, 1082, 1095;
    2139 Normal, 0, 1083, 1110;
    2140 Normal, 0, 1266, 1552;
    2142 Normal, 0, 1114, 2062;
    2143 Normal, 0, 1184, 1322;
    2144 Normal, 0, 1186, 1332;
    2145 Normal, 0, 25, 664;
    2146 Normal, 0, 1700, 1754;
    2245 Normal, 0, 1042, 1058;
    2798 Normal, 0, 27, 2799;
    3527 Normal, 0, 3500, 3518;
    4190 Normal, 0, 3220, 3224;
    5100 Normal, 0, 5069, 5073;
    3984 OrderedSet, 0, 2281, 0;
    3988 HypotheticalSet, 1, 2281, 0;
    3974 OrderedSet, 1, 2281, 0;
    3976 OrderedSet, 1, 2281, 0;
    3980 OrderedSet, 1, 2281, 0;
    3982 OrderedSet, 1, 2281, 0;
    3972 OrderedSet, 1, 2281, 0;
    3978 OrderedSet, 1, 2281, 0;
    3986 HypotheticalSet, 1, 2281, 0;
    2822 Normal, 0, 1022, 0;
    2823 Normal, 0, 1022, 0;
    2818 Normal, 0, 20, 0;
    2826 Normal, 0, 1022, 0;
    2824 Normal, 0, 1022, 0;
    2825 Normal, 0, 1022, 0;
    2819 Normal, 0, 1022, 0;
    2821 Normal, 0, 1022, 0;
    2820 Normal, 0, 1022, 0;
    2154 Normal, 0, 2281, 0;
    2155 Normal, 0, 2281, 0;
    2156 Normal, 0, 2281, 0;
    2157 Normal, 0, 1022, 0;
    2158 Normal, 0, 1022, 0;
    2159 Normal, 0, 2281, 0;
    2724 Normal, 0, 2281, 0;
    2725 Normal, 0, 2281, 0;
    2726 Normal, 0, 2281, 0;
    2727 Normal, 0, 1022, 0;
    2728 Normal, 0, 1022, 0;
    2729 Normal, 0, 2281, 0;
    2712 Normal, 0, 2281, 0;
    2713 Normal, 0, 2281, 0;
    2714 Normal, 0, 2281, 0;
    2715 Normal, 0, 1022, 0;
    2716 Normal, 0, 1022, 0;
    2717 Normal, 0, 2281, 0;
    3538 Normal, 0, 2281, 0;
    3545 Normal, 0, 2281, 0;
    2107 Normal, 0, 2281, 0;
    2108 Normal, 0, 20, 0;
    2109 Normal, 0, 20, 0;
    2110 Normal, 0, 700, 0;
    2111 Normal, 0, 701, 0;
    2113 Normal, 0, 1186, 0;
    2114 Normal, 0, 2281, 0;
    2718 Normal, 0, 2281, 0;
    2719 Normal, 0, 2281, 0;
    2720 Normal, 0, 2281, 0;
    2721 Normal, 0, 1022, 0;
    2722 Normal, 0, 1022, 0;
    2723 Normal, 0, 2281, 0;
    2641 Normal, 0, 2281, 0;
    2642 Normal, 0, 2281, 0;
    2643 Normal, 0, 2281, 0;
    2644 Normal, 0, 1022, 0;
    2645 Normal, 0, 1022, 0;
    2646 Normal, 0, 2281, 0;
    2148 Normal, 0, 2281, 0;
    2149 Normal, 0, 2281, 0;
    2150 Normal, 0, 2281, 0;
    2151 Normal, 0, 1022, 0;
    2152 Normal, 0, 1022, 0;
    2153 Normal, 0, 2281, 0;
}
