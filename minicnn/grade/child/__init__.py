"""What runs in the student's process. Nothing here knows a right answer."""
