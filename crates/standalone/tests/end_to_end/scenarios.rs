//! What every installation promises its clients, on one process or on many: each scenario is a promise by name.

mod appointments;
mod commands;
mod refusals;
mod runs;
mod streams;
mod subscriptions;

pub use appointments::*;
pub use commands::*;
pub use refusals::*;
pub use runs::*;
pub use streams::*;
pub use subscriptions::*;

use std::time::Duration;

use crate::world::patiently;

/// Asks again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    patiently(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Calls `$run!` with the names of all scenarios.
macro_rules! for_each_scenario {
    ($run:ident) => {
        $run! {
            // commands
            a_command_sent_twice_has_one_effect_and_one_outcome,
            a_command_past_its_time_is_refused_as_expired,
            what_a_location_refuses_is_said_with_its_code,
            every_move_of_a_ticket_is_offered_by_http,
            a_transfer_to_another_location_names_its_successor,
            a_ticket_is_read_by_http_as_its_channel_shows_it,
            // appointments
            an_appointment_and_its_ticket_agree_from_the_booking_to_the_end,
            facts_that_come_late_twice_or_in_any_order_end_the_same,
            what_a_source_says_after_the_check_in_changes_the_ticket_only_by_calling_it_off,
            an_appointment_that_moves_goes_on_at_the_other_location,
            what_cannot_be_of_an_appointment_is_refused_with_its_code,
            whoever_comes_without_an_appointment_checks_in_into_a_queue,
            another_tenants_appointments_doctors_and_load_are_unknown,
            // subscriptions
            a_patient_follows_their_ticket_to_its_end,
            a_board_shows_who_is_called_and_then_who_was,
            a_desk_that_folds_every_step_holds_the_servers_snapshot,
            a_client_that_resumes_gets_one_merged_step,
            a_phone_that_slept_gets_its_last_state_alone,
            a_position_that_means_nothing_is_answered_with_a_snapshot,
            many_phones_of_one_line_all_see_their_own_place,
            patients_who_look_at_once_are_answered_wherever_they_look,
            leaving_a_channel_ends_its_pushes,
            // refusals
            a_second_subscribe_is_an_error_and_changes_nothing,
            a_channel_one_may_not_open_stays_shut,
            nothing_crosses_a_tenant,
            a_name_that_is_no_channel_is_unknown,
            a_token_that_cannot_be_trusted_opens_nothing,
            an_expired_token_asks_for_a_newer_one,
            a_frame_too_large_costs_its_sender_alone,
            words_that_are_no_command_close_the_socket,
            an_origin_that_is_not_allowed_may_not_connect,
            a_request_that_cannot_be_read_gets_a_problem,
            health_and_metrics_answer_without_patient_data,
            // streams
            a_stream_begins_with_a_snapshot_and_goes_on_with_steps,
            a_stream_resumes_after_its_ticket_is_spent,
            a_spent_ticket_opens_no_second_stream,
            a_forged_stream_id_opens_nothing,
            a_stream_ticket_opens_no_other_channel,
            // runs
            a_claims_file_is_checked_while_its_clerk_watches,
            a_run_asked_for_twice_under_one_key_is_one_run,
            a_file_that_is_no_export_fails_with_what_shows_it,
            a_row_that_cannot_be_read_costs_only_itself,
            a_run_is_cancelled_while_it_is_checked,
            who_may_see_a_run_is_its_clerk_the_tenants_viewers_and_admins,
            a_rule_that_changes_holds_for_the_next_run,
            a_clerk_who_comes_back_gets_what_was_missed_in_one_step,
            a_stream_shows_a_run_to_its_end,
            findings_are_exported_as_a_table_in_either_language,
        }
    };
}
pub(crate) use for_each_scenario;
