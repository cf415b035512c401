"""What all errors have in common that whoever runs a command can mend."""


class UserError(Exception):
    """Something that whoever runs a command can mend; the message says in one line what is wrong, and what to do."""
