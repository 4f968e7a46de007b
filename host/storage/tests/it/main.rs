//! The promises of storage, one test each, held against every implementation; then what only SQLite's has to show.
//!
//! A promise is a function over a [`Home`](home::Home), which opens an implementation as often as a test restarts
//! it. An implementation joins by a line in `promises!`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod assistants;
mod cancelling;
mod checkpoints;
mod crash;
mod crons;
mod deliveries;
mod failures;
mod fences;
mod given;
mod growth;
mod histories;
mod home;
mod life;
mod lifetimes;
mod nearness;
mod owners;
mod rollbacks;
mod runs;
mod searching;
mod shares;
mod sqlite_directory;
mod sqlite_groups;
mod sqlite_lists;
mod states;
mod store;
mod streams;
mod threads;
mod unbegun;

/// Makes a test of each promise for each implementation.
macro_rules! promises {
    ($($module:ident { $($promise:ident),+ $(,)? })+) => {
        promises!(@ sqlite, crate::home::SqliteHome, $($module { $($promise),+ })+);
    };
    (@ $name:ident, $home:ty, $($module:ident { $($promise:ident),+ })+) => {
        mod $name {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::$module::$promise(&<$home>::new()).await;
                })+
            })+
        }
    };
}

promises! {
    assistants {
        default_assistants_exist_as_given_and_count_their_changes,
        assistants_are_found_by_name_graph_and_metadata_in_pages,
        an_assistant_is_created_once,
        each_change_of_an_assistant_is_a_version,
        a_callers_change_of_a_default_assistant_lasts_until_the_configuration_changes,
    }
    threads {
        a_thread_is_created_once,
        a_run_brings_metadata_and_config_to_its_thread,
        deleting_a_thread_takes_its_runs_and_checkpoints_and_leaves_its_deliveries,
        deleting_a_thread_names_each_run_that_had_not_ended_whoever_was_admitted_meanwhile,
        a_threads_values_are_the_authors_channels_of_its_newest_checkpoint,
    }
    runs {
        a_run_is_claimed_at_once_when_nothing_stands_before_it,
        runs_of_one_thread_begin_in_order_and_one_at_a_time,
        a_run_that_may_not_begin_yet_waits_and_lets_others_pass,
        claims_are_oldest_first_and_at_most_as_many_as_asked_for,
        a_busy_thread_refuses_a_run_that_will_not_wait,
        a_run_needs_its_thread_unless_it_may_create_it,
        a_question_is_answered_once,
        too_many_pending_runs_are_refused_and_leave_nothing,
        what_a_run_was_asked_for_is_read_back_as_it_was,
        runs_are_listed_newest_first,
        a_list_of_runs_that_would_not_fit_says_how_many_do,
        a_released_run_is_claimed_again_and_its_attempt_counts,
        a_temporary_run_has_no_thread_and_leaves_only_its_delivery,
    }
    fences {
        a_worker_that_lost_its_lease_cannot_write,
        a_lease_ends_with_its_run,
        a_lease_ends_when_its_thread_is_deleted,
    }
    checkpoints {
        a_checkpoint_is_read_back_as_it_was_written,
        the_newest_checkpoint_of_a_namespace_is_the_one_without_a_name,
        pending_writes_come_ordered_and_the_same_index_replaces,
        a_fork_grows_its_own_list,
        values_joined_beyond_the_depth_of_requests_are_read_back,
        a_step_on_an_unknown_parent_is_refused,
    }
    histories { any_history_is_read_back_from_any_of_its_checkpoints }
    deliveries {
        a_delivery_is_claimed_once,
        first_attempts_come_before_retries,
        a_retry_waits_for_its_time,
        every_attempt_is_recorded,
        an_attempt_that_is_recorded_twice_is_recorded_once,
        what_is_put_off_comes_behind_first_attempts_unless_it_only_waits,
        a_quarter_of_a_claim_is_for_what_is_behind_first_attempts,
        what_is_pending_is_disabled_due_or_not_and_goes_on_where_it_was,
        deliveries_that_ended_before_a_time_are_deleted_and_no_others,
        many_old_deliveries_are_deleted_in_several_writes,
        deliveries_are_listed_newest_first_by_run_and_by_status,
        a_delivery_that_ended_is_delivered_again_on_a_new_schedule,
        a_delivery_that_waits_is_due_at_once_and_one_under_way_is_left_to_it,
        what_ended_in_some_way_within_a_time_is_delivered_again,
        the_outbox_says_how_much_is_pending_and_since_when,
    }
    failures {
        a_runs_terminal_status_its_last_checkpoint_and_its_delivery_rows_become_true_in_one_transaction,
        an_admission_that_fails_leaves_nothing,
        a_step_that_fails_leaves_nothing_and_can_be_tried_again,
        a_delivery_whose_claim_failed_is_claimed_again,
    }
    life {
        the_runs_of_a_dead_process_are_pending_again,
        a_run_that_has_had_all_its_attempts_is_handed_over_to_be_ended,
        a_temporary_run_starts_again_from_its_input,
        the_deliveries_of_a_dead_process_are_due_at_once,
        closing_finishes_what_is_queued_and_refuses_the_rest,
        what_was_answered_is_there_after_dropping_without_closing,
        pending_runs_are_counted_over_a_restart,
    }
    cancelling {
        a_pending_run_that_is_cancelled_ends_at_once_and_its_thread_rests,
        a_thread_rests_again_in_the_status_that_its_last_run_left,
        cancelling_the_next_run_lets_the_one_behind_it_begin,
        a_success_does_not_overwrite_a_wish_to_cancel,
        a_wish_to_cancel_survives_the_process_that_heard_it,
        a_run_that_was_put_back_is_ended_by_whoever_claims_it,
        runs_are_cancelled_by_name_or_by_status,
        a_temporary_run_is_cancelled_by_its_id,
        a_run_that_interrupts_ends_those_before_it,
        a_run_that_rolls_back_takes_the_place_of_those_that_had_not_begun,
        a_batch_is_accepted_as_a_whole_or_not_at_all,
        deleting_a_run_frees_its_thread,
        deleting_an_assistant_cancels_its_runs,
    }
    unbegun {
        a_run_that_ends_before_it_began_ends_with_its_delivery,
    }
    rollbacks {
        a_run_that_is_rolled_back_leaves_its_thread_as_it_was,
        a_first_run_that_is_rolled_back_leaves_an_empty_thread,
        deleting_a_run_under_way_undoes_it_and_one_that_ended_stays,
        undoing_survives_a_restart_and_nothing_is_kept_for_it_afterwards,
    }
    states {
        history_is_listed_newest_first,
        a_page_of_history_is_bounded_in_bytes,
        a_state_is_changed_when_it_is_the_one_that_was_seen,
        the_state_of_a_nested_graph_is_changed_and_its_thread_stays_as_it_was,
        a_thread_is_created_with_its_state_or_not_at_all,
        a_thread_that_never_ran_can_be_given_a_state,
        a_thread_with_runs_under_way_is_not_changed_from_outside,
        a_copy_has_the_history_and_a_life_of_its_own,
        what_a_thread_takes_is_told_by_channel,
    }
    lifetimes {
        pruned_threads_are_gone_with_their_runs,
        a_thread_that_is_trimmed_keeps_its_newest_checkpoint,
        a_trimmed_thread_keeps_the_graphs_inside_it_that_may_go_on,
        a_thread_goes_when_its_time_has_come,
        a_sweep_takes_no_more_than_it_may_and_the_oldest_first,
        a_thread_that_was_trimmed_is_trimmed_again_after_it_changed,
        emptying_runs_leaves_their_threads_at_rest,
    }
    searching {
        threads_are_found_by_what_they_are,
        threads_are_sorted_and_come_in_pages,
        threads_are_found_with_their_values_when_asked,
        a_page_of_threads_is_bounded_in_bytes,
    }
    crons {
        a_cron_is_read_back_as_it_was_created,
        a_cron_needs_its_assistant_and_its_thread_and_goes_with_them,
        crons_are_found_by_what_they_are_in_pages,
        a_change_is_made_on_the_cron_that_was_seen_or_not_at_all,
        a_due_time_and_its_run_become_true_together,
        a_due_time_makes_one_run_whoever_asks_and_how_often,
        a_cron_that_was_changed_or_stopped_does_not_fire_as_it_was,
        a_run_that_is_refused_leaves_its_cron_due_and_others_fire,
        a_cron_on_a_thread_that_is_too_slow_for_it_leaves_the_queue_to_others,
        crons_that_are_due_come_in_order_a_few_at_a_time,
        due_times_of_a_cron_are_remembered_as_long_as_it_matters,
    }
    streams {
        events_are_read_back_in_order_from_anywhere,
        a_threads_stream_is_that_of_its_runs_and_its_own,
        the_last_id_is_known_after_a_restart,
        a_worker_that_lost_its_lease_cannot_add_events,
        events_stay_a_while_after_their_run,
        a_run_keeps_a_bounded_number_of_events,
        what_a_run_keeps_is_bounded_in_bytes,
    }
    owners {
        a_thread_and_its_runs_are_there_for_their_owner_and_for_operators,
        items_of_the_same_name_are_different_items_of_each_owner,
        a_run_that_ends_before_it_began_leaves_its_delivery_to_its_owner,
        a_cron_and_its_runs_are_their_creators,
    }
    shares {
        nobody_has_more_pending_runs_than_their_share,
        claims_pass_over_those_who_have_their_share_and_come_back_to_them,
        what_was_put_aside_for_a_share_begins_where_there_is_none,
        a_share_is_free_again_however_a_run_goes,
        nobody_has_more_crons_than_their_share,
    }
    store {
        an_item_is_kept_where_it_is_put,
        items_are_found_under_a_namespace,
        a_page_of_items_is_bounded_in_bytes,
        namespaces_are_listed_each_once,
        an_item_goes_when_its_time_has_come_unless_it_is_read,
    }
    nearness {
        the_nearest_items_come_first_and_those_without_vectors_last,
        vectors_belong_to_the_value_that_they_were_made_of,
        another_index_wants_all_vectors_anew,
        what_cannot_be_embedded_is_tried_again_once_the_index_is_opened_anew,
    }
}
