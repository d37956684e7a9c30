//! Next due moments of a schedule, and the schedule in words.
