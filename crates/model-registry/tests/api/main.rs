//! The REST API as the clients of the existing registry know it: one suite ([`suite`]), which a registry passes whatever
//! database it is kept in.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

mod import;
mod readiness;
mod registry;
mod suite;

/// Runs each function of the suite against a new registry in each database.
macro_rules! conformance {
    ($($module:ident: $($name:ident),+;)+) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test]
                async fn $name() {
                    crate::suite::$module::$name(&crate::registry::Registry::in_sqlite().await).await;
                })+
            })+
        }
        mod postgres {
            $(mod $module {
                $(#[tokio::test]
                async fn $name() {
                    if let Some(registry) = crate::registry::Registry::in_postgres().await {
                        crate::suite::$module::$name(&registry).await;
                    }
                })+
            })+
        }
        mod mariadb {
            $(mod $module {
                $(#[tokio::test]
                async fn $name() {
                    if let Some(registry) = crate::registry::Registry::in_mariadb().await {
                        crate::suite::$module::$name(&registry).await;
                    }
                })+
            })+
        }
    };
}

conformance! {
    artifacts:
        all_five_types_keep_what_they_are_given,
        an_artifact_of_a_version_needs_the_version,
        an_id_links_an_artifact_once_more_and_changes_it,
        artifacts_of_another_type_may_have_the_same_name,
        artifacts_say_of_which_type_they_are,
        metrics_and_parameters_are_known_by_their_names,
        model_artifacts_are_model_artifacts,
        one_name_is_taken_once_within_a_version,
        the_status_tells_new_models_and_documents_from_the_rest;
    clients:
        an_older_client_registers_a_model,
        the_newer_client_registers_a_model;
    conditional:
        a_change_goes_through_for_who_knows_the_current_state,
        a_list_is_sent_again_only_when_it_changed,
        a_resource_is_sent_again_only_when_it_changed;
    errors:
        a_body_that_is_no_json_object_is_refused,
        a_body_that_is_too_large_is_refused,
        a_field_of_another_type_is_refused_by_its_name,
        artifacts_may_have_fields_that_nobody_knows,
        ids_have_one_to_nine_digits,
        names_of_fields_match_without_regard_to_case,
        nul_bytes_are_refused_everywhere,
        required_fields_are_named_when_they_are_missing,
        the_id_of_another_kind_is_not_found,
        unknown_fields_are_named,
        words_are_those_that_there_are;
    experiments:
        a_run_needs_its_experiment,
        a_run_starts_with_what_it_is_given,
        artifacts_of_a_run_name_it,
        metrics_of_a_run_are_kept_over_time,
        runs_of_experiments_are_told_apart,
        the_history_is_listed_in_parts,
        what_is_not_there_has_no_runs_and_no_history;
    filters:
        a_filter_and_pages_go_together,
        a_filter_holds_for_children_of_one_parent,
        a_filter_that_is_wrong_says_where,
        attempts_to_inject_are_ordinary_texts,
        custom_properties_are_looked_for_by_name_and_type,
        known_fields_are_looked_for_by_name,
        or_binds_less_than_and,
        runs_are_named_by_texts_or_numbers;
    find:
        children_are_found_beneath_their_parent,
        resources_are_found_by_external_id,
        resources_without_parent_are_found_by_name,
        too_little_to_find_by_is_refused,
        what_is_not_there_is_not_found;
    import:
        everything_moves_in_from_a_registry_of_ours,
        ids_that_two_resources_have_are_given_out_anew,
        the_registry_goes_on_after_what_moved_in;
    lists:
        a_broken_cursor_is_refused,
        a_list_by_change_follows_changes,
        an_empty_list_has_all_fields,
        artifacts_are_listed_by_type,
        children_are_listed_by_name_and_external_id,
        children_are_those_of_their_parent,
        children_of_nothing_are_none,
        equals_are_told_apart_by_their_ids,
        pages_lead_through_everything_once,
        the_order_is_one_of_three,
        what_is_no_page_size_is_refused,
        without_a_page_size_everything_is_listed;
    names:
        a_name_is_unique_among_its_kind_and_parent,
        an_external_id_is_unique_across_kinds,
        names_are_told_apart_by_every_character,
        names_have_at_most_255_characters_with_their_parents_id,
        of_many_who_want_a_name_one_gets_it,
        omitted_names_become_uuids,
        some_kinds_have_to_be_named;
    properties:
        all_types_come_back_as_they_went_in,
        fields_of_values_that_nobody_knows_are_ignored,
        names_of_properties_are_told_apart_by_every_character,
        values_of_no_type_are_refused;
    routes:
        health_is_answered_at_every_path_that_ends_so,
        the_document_describes_every_operation_that_there_is,
        the_pages_need_nothing_from_elsewhere,
        there_is_nothing_to_delete,
        unknown_paths_and_methods_are_refused_in_one_shape,
        version_1_has_no_experiments_and_steps_as_texts;
    serving:
        a_serve_needs_its_service_and_version,
        a_service_keeps_what_it_is_given,
        a_service_needs_its_environment_and_model,
        both_ways_to_register_a_service_make_one,
        serves_are_kept_with_their_state,
        the_served_version_is_the_named_or_else_the_newest;
    update:
        archiving_is_a_state,
        custom_properties_are_replaced_as_a_whole,
        every_field_that_may_change_changes,
        identities_do_not_change,
        times_grow_with_every_change,
        what_is_absent_or_null_stays;
}
