//! Which part of a list is asked for, and how a list is answered.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::encode::Shown;
use super::failure::Failure;
use super::params::Params;
use super::version::Version;
use crate::filter::{Filter, FilterError};
use crate::model::Kind;
use crate::store::{Cursor, OrderBy, Page, PageQuery, SortOrder};

/// What a token begins with; another form of it would begin otherwise.
const FORM: u8 = 1;
const TOKEN_BYTES: usize = 3 + 8 + 8;

/// The part of a list that is asked for.
pub(super) fn page_query(params: &Params) -> Result<PageQuery, Failure> {
    let order_by = match params.get("orderBy") {
        Some("CREATE_TIME") => OrderBy::CreateTime,
        Some("LAST_UPDATE_TIME") => OrderBy::LastUpdateTime,
        _ => OrderBy::Id,
    };
    let sort_order = match params.get("sortOrder") {
        Some("DESC") => SortOrder::Descending,
        _ => SortOrder::Ascending,
    };
    let after = params.get("nextPageToken").map(|token| read_token(token, order_by, sort_order)).transpose()?;
    Ok(PageQuery { size: page_size(params)?, order_by, sort_order, after })
}

fn page_size(params: &Params) -> Result<Option<u32>, Failure> {
    let Some(text) = params.get("pageSize") else { return Ok(None) };
    let size: i32 = text
        .parse()
        .map_err(|_| Failure::bad_request("pageSize is not valid: it is the number of items, or 0 for all of them"))?;
    Ok(u32::try_from(size).ok().filter(|size| *size > 0))
}

/// The steps of metrics that are asked for; all, if there are none.
pub(super) fn steps(params: &Params) -> Result<BTreeSet<i64>, Failure> {
    let step = |text: &str| match text.parse() {
        Ok(step) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(step),
        _ => Err(Failure::bad_request("stepIds is not valid: it consists of whole numbers with commas between them")),
    };
    params.get("stepIds").into_iter().flat_map(|text| text.split(',')).map(step).collect()
}

/// What has to hold of what is listed.
pub(super) fn filter(params: &Params, kinds: &[Kind]) -> Result<Option<Filter>, Failure> {
    filter_by(params, |text| Filter::parse(text, kinds))
}

/// What has to hold of metrics over time.
pub(super) fn filter_for_history(params: &Params) -> Result<Option<Filter>, Failure> {
    filter_by(params, Filter::parse_for_history)
}

fn filter_by(
    params: &Params,
    parse: impl FnOnce(&str) -> Result<Filter, FilterError>,
) -> Result<Option<Filter>, Failure> {
    let refused = |error| Failure::bad_request(format!("filterQuery: {error}"));
    params.get("filterQuery").map(|text| parse(text).map_err(refused)).transpose()
}

/// A part of a list as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<'a> {
    items: Vec<Shown<'a>>,
    next_page_token: String,
    page_size: u32,
    size: usize,
}

impl<'a> List<'a> {
    pub(super) fn new(page: &'a Page, query: &PageQuery, version: Version) -> Self {
        Self {
            items: page.items.iter().map(|record| Shown { record, version }).collect(),
            next_page_token: page.next.map(|next| write_token(next, query)).unwrap_or_default(),
            page_size: query.size.unwrap_or_default(),
            size: page.items.len(),
        }
    }
}

fn write_token(cursor: Cursor, query: &PageQuery) -> String {
    let mut bytes = Vec::with_capacity(TOKEN_BYTES);
    bytes.extend([FORM, order_byte(query.order_by), direction_byte(query.sort_order)]);
    bytes.extend(cursor.key.to_be_bytes());
    bytes.extend(cursor.id.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_token(token: &str, order_by: OrderBy, sort_order: SortOrder) -> Result<Cursor, Failure> {
    let broken = || Failure::bad_request("nextPageToken is not valid: begin with the first page");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| broken())?;
    let (head, rest) = bytes.split_first_chunk::<3>().ok_or_else(broken)?;
    let (key, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
    let (id, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
    if head[0] != FORM || !rest.is_empty() {
        return Err(broken());
    }
    if head[1..] != [order_byte(order_by), direction_byte(sort_order)] {
        let message = "nextPageToken is of a list in another order: keep orderBy and sortOrder from page to page";
        return Err(Failure::bad_request(message));
    }
    Ok(Cursor { key: i64::from_be_bytes(*key), id: i64::from_be_bytes(*id) })
}

const fn order_byte(order_by: OrderBy) -> u8 {
    match order_by {
        OrderBy::Id => 0,
        OrderBy::CreateTime => 1,
        OrderBy::LastUpdateTime => 2,
    }
}

const fn direction_byte(sort_order: SortOrder) -> u8 {
    match sort_order {
        SortOrder::Ascending => 0,
        SortOrder::Descending => 1,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn query(parameters: &str) -> Result<PageQuery, Failure> {
        page_query(&Params::of(&format!("/x?{parameters}").parse().unwrap()).unwrap())
    }

    #[rstest]
    #[case::absent("", None)]
    #[case::empty("pageSize=", None)]
    #[case::zero("pageSize=0", None)]
    #[case::negative("pageSize=-3", None)]
    #[case::some("pageSize=7", Some(7))]
    fn a_page_has_a_size_or_holds_everything(#[case] parameters: &str, #[case] size: Option<u32>) {
        assert_eq!(query(parameters).unwrap().size, size);
    }

    #[rstest]
    fn what_is_no_number_is_no_page_size(#[values("x", "1.5", "99999999999", "1e3")] size: &str) {
        assert_eq!(query(&format!("pageSize={size}")).unwrap_err().parts().0, 400);
    }

    #[test]
    fn steps_are_numbers_with_commas_between() {
        let of = |parameters: &str| steps(&Params::of(&format!("/x?{parameters}").parse().unwrap()).unwrap());
        assert_eq!(of("").unwrap(), BTreeSet::new());
        assert_eq!(of("stepIds=3,1,3").unwrap(), BTreeSet::from([1, 3]));
        for wrong in ["x", "1,", ",1", "1;2", "-1", "%2B1", "99999999999999999999"] {
            assert_eq!(of(&format!("stepIds={wrong}")).unwrap_err().parts().0, 400, "{wrong}");
        }
    }

    #[test]
    fn an_order_that_is_not_known_is_that_of_the_ids() {
        let of = |parameters| query(parameters).map(|query| (query.order_by, query.sort_order)).unwrap();
        assert_eq!(of("orderBy=NAME&sortOrder=sideways"), (OrderBy::Id, SortOrder::Ascending));
        assert_eq!(of("orderBy=CREATE_TIME&sortOrder=DESC"), (OrderBy::CreateTime, SortOrder::Descending));
        assert_eq!(of("orderBy=LAST_UPDATE_TIME"), (OrderBy::LastUpdateTime, SortOrder::Ascending));
    }

    #[test]
    fn a_token_leads_to_where_it_was_given_out_and_only_in_the_same_order() {
        let cursor = Cursor { key: 1_700_000_000_123, id: 42 };
        let first = query("orderBy=CREATE_TIME&sortOrder=DESC").unwrap();
        let token = write_token(cursor, &first);
        let again = query(&format!("orderBy=CREATE_TIME&sortOrder=DESC&nextPageToken={token}")).unwrap();
        assert_eq!(again.after, Some(cursor));
        for other in ["orderBy=CREATE_TIME", "orderBy=ID&sortOrder=DESC", "sortOrder=DESC"] {
            assert_eq!(query(&format!("{other}&nextPageToken={token}")).unwrap_err().parts().0, 400, "{other}");
        }
    }

    #[rstest]
    fn a_broken_token_is_refused(#[values("x", "!!", "AQAA", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "%F0%9F")] token: &str) {
        assert_eq!(query(&format!("nextPageToken={token}")).unwrap_err().parts().0, 400);
    }
}
