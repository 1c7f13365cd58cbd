"""The one exception for what a user can get wrong."""


class UserError(Exception):
    """A mistake the user can mend: one sentence that names the thing and the way out.

    The command line prints the sentence (no traceback) and exits with code 2.
    """
