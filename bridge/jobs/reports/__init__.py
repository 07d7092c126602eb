"""What is written for people who answer for the mail: the channel register and the reports of departments."""
