//! Sets of columns, as bits.

use super::ColumnNumber;

/// A set of column numbers. Grows as needed; iterates in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSet {
    words: Vec<u64>,
}

impl ColumnSet {
    pub fn new() -> Self {
        ColumnSet::default()
    }

    pub fn insert(&mut self, column: ColumnNumber) -> bool {
        let (word, bit) = (column as usize / 64, 1u64 << (column % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }

    pub fn remove(&mut self, column: ColumnNumber) {
        if let Some(word) = self.words.get_mut(column as usize / 64) {
            *word &= !(1 << (column % 64));
        }
    }

    pub fn contains(&self, column: ColumnNumber) -> bool {
        self.words.get(column as usize / 64).is_some_and(|word| word >> (column % 64) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn union_with(&mut self, other: &ColumnSet) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    pub fn union(&self, other: &ColumnSet) -> ColumnSet {
        let mut union = self.clone();
        union.union_with(other);
        union
    }

    pub fn intersection(&self, other: &ColumnSet) -> ColumnSet {
        ColumnSet { words: self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect() }
    }

    pub fn difference(&self, other: &ColumnSet) -> ColumnSet {
        let of = |index: usize| other.words.get(index).copied().unwrap_or(0);
        ColumnSet { words: self.words.iter().enumerate().map(|(index, word)| word & !of(index)).collect() }
    }

    pub fn is_subset(&self, other: &ColumnSet) -> bool {
        self.words
            .iter()
            .enumerate()
            .all(|(index, word)| word & !other.words.get(index).copied().unwrap_or(0) == 0)
    }

    pub fn intersects(&self, other: &ColumnSet) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = ColumnNumber> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index as u32 * 64 + bit)
        })
    }
}

impl Extend<ColumnNumber> for ColumnSet {
    fn extend<I: IntoIterator<Item = ColumnNumber>>(&mut self, columns: I) {
        for column in columns {
            self.insert(column);
        }
    }
}

impl FromIterator<ColumnNumber> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = ColumnNumber>>(columns: I) -> Self {
        let mut set = ColumnSet::new();
        for column in columns {
            set.insert(column);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_algebra() {
        let a: ColumnSet = [1, 64, 200].into_iter().collect();
        let b: ColumnSet = [64].into_iter().collect();
        assert!(b.is_subset(&a) && !a.is_subset(&b) && a.intersects(&b));
        assert_eq!(a.difference(&b).iter().collect::<Vec<_>>(), [1, 200]);
        assert_eq!(a.intersection(&b).iter().collect::<Vec<_>>(), [64]);
        assert_eq!(a.len(), 3);
        assert!(!a.contains(2000));
    }
}
