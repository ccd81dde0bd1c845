//! Every store passes one suite ([`suite`]); what only ConfigMaps have to stand is in [`config_map`] (one of them) and
//! [`config_map_shards`] (many), and what fits into them in [`config_map_limits`]; what only databases have to stand is in
//! [`sql`] and [`postgres_faults`], what only GitHub has to in [`github`]; that
//! nothing is left by a look whether they can be written is in [`rehearsal`].

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

mod beds;
mod config_map;
mod config_map_limits;
mod config_map_shards;
mod github;
mod postgres_faults;
mod rehearsal;
mod small_config_maps;
mod sql;
mod suite;

/// Runs each function of the suite against each store.
macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                crate::suite::$name(&crate::beds::SqliteBed::new()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(bed) = crate::beds::PostgresBed::new() {
                    crate::suite::$name(&bed).await;
                }
            })+
        }
        mod in_config_map {
            $(#[tokio::test]
            async fn $name() {
                crate::suite::$name(&crate::beds::ConfigMapBed::new().await).await;
            })+
        }
        mod in_small_config_maps {
            $(#[tokio::test]
            async fn $name() {
                crate::suite::$name(&crate::small_config_maps::SmallBed::new().await).await;
            })+
        }
        mod in_github {
            $(#[tokio::test]
            async fn $name() {
                crate::suite::$name(&crate::beds::GithubBed::new().await).await;
            })+
        }
    };
}

conformance!(
    an_upsert_creates_updates_or_changes_nothing,
    other_metadata_alone_is_written_or_not_as_it_matters,
    an_unchanged_upsert_writes_nothing,
    a_fetch_gives_back_what_was_stored,
    several_entries_are_read_together,
    the_index_is_sorted_and_has_the_digests,
    removed_entries_are_gone_and_others_stay,
    a_reopened_store_has_everything,
    the_location_survives_upserts_and_ends_with_the_entry,
    bodies_are_kept_byte_by_byte,
    big_bodies_are_kept,
    concurrent_upserts_of_different_keys_are_all_kept,
    of_concurrent_upserts_of_one_key_one_wins_whole,
    two_processes_share_a_store,
    many_writers_lose_nothing,
    a_shared_write_that_fails_fails_for_all_and_later_ones_go_on,
    whether_it_is_being_filled_is_remembered,
);
