//! What the list of models is asked for: in the page's address, so that it can be passed on.

use url::form_urlencoded;

/// More words or tags than these are not looked for.
const MAX_WORDS: usize = 8;
const MAX_TEXT: usize = 200;

/// Which entries are asked for, and which page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) text: String,
    pub(crate) owner: Option<String>,
    pub(crate) lifecycle: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) served: Option<Served>,
    pub(crate) sort: Sort,
    /// From 1 on.
    pub(crate) page: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    Yes,
    No,
}

impl Served {
    pub(crate) const ALL: [Self; 2] = [Self::Yes, Self::No];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Yes => "Served",
            Self::No => "Not served",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    #[default]
    Name,
    NameDown,
    Owner,
    Lifecycle,
}

impl Sort {
    pub(crate) const ALL: [Self; 4] = [Self::Name, Self::NameDown, Self::Owner, Self::Lifecycle];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDown => "-name",
            Self::Owner => "owner",
            Self::Lifecycle => "lifecycle",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Name => "Name, A to Z",
            Self::NameDown => "Name, Z to A",
            Self::Owner => "Owner",
            Self::Lifecycle => "Lifecycle",
        }
    }
}

impl Filter {
    /// Reads a query. What is unknown in it is passed over: an address that somebody passes on must not fail.
    pub(crate) fn parse(query: &str) -> Self {
        let mut filter = Self { page: 1, ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value: String = value.trim().chars().take(MAX_TEXT).collect();
            if !value.is_empty() {
                filter.set(&name, value);
            }
        }
        filter
    }

    fn set(&mut self, name: &str, value: String) {
        match name {
            "q" => self.text = value,
            "owner" => self.owner = Some(value),
            "lifecycle" => self.lifecycle = Some(value),
            "provider" => self.provider = Some(value),
            "tag" if self.tags.len() < MAX_WORDS && !self.tags.contains(&value) => self.tags.push(value),
            "served" => self.served = Served::ALL.into_iter().find(|served| served.as_str() == value),
            "sort" => self.sort = Sort::ALL.into_iter().find(|sort| sort.as_str() == value).unwrap_or_default(),
            "page" => self.page = value.parse().unwrap_or(1).max(1),
            _ => {}
        }
    }

    /// The words that are looked for, in lower case.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.text.split_whitespace().take(MAX_WORDS).map(str::to_lowercase)
    }

    /// Whether anything but the order and the page is asked for.
    pub(crate) fn narrows(&self) -> bool {
        *self != Self { sort: self.sort, page: self.page, ..Self::default() }
    }

    /// The address of what is asked for, relative to the page of models: always `?...`, so that it leaves others behind.
    pub(crate) fn href(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let singles = [
            ("q", Some(self.text.as_str()).filter(|text| !text.is_empty())),
            ("owner", self.owner.as_deref()),
            ("lifecycle", self.lifecycle.as_deref()),
            ("provider", self.provider.as_deref()),
            ("served", self.served.map(Served::as_str)),
            ("sort", (self.sort != Sort::default()).then(|| self.sort.as_str())),
        ];
        query.extend_pairs(singles.into_iter().filter_map(|(name, value)| Some((name, value?))));
        query.extend_pairs(self.tags.iter().map(|tag| ("tag", tag)));
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        format!("?{}", query.finish())
    }

    /// The same with one thing changed, from the first page on.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut filter = Self { page: 1, ..self.clone() };
        change(&mut filter);
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_all_that_is_asked_for() {
        let query = "?q=a+b%26c&owner=%C3%BC&lifecycle=x&provider=P&served=no&sort=-name&tag=t1&tag=t2&page=3";
        assert_eq!(Filter::parse(&query[1..]).href(), query);
        assert_eq!(Filter::parse("").href(), "?");
    }

    #[test]
    fn what_is_unknown_or_empty_asks_for_nothing() {
        let filter = Filter::parse("q=+&owner=&served=maybe&sort=size&page=-1&colour=red&tag=a&tag=a&%ff");
        assert_eq!(filter, Filter { tags: vec!["a".to_owned()], page: 1, ..Filter::default() });
        assert!(filter.narrows() && !Filter::parse("sort=owner&page=7").narrows());
    }

    #[test]
    fn a_changed_filter_begins_with_the_first_page() {
        assert_eq!(
            Filter::parse("page=4&q=x").with(|filter| filter.served = Some(Served::Yes)).href(),
            "?q=x&served=yes"
        );
    }
}
