# The login and the public front page.

login-title = Sign in
login-email = E-mail address
login-password = Password
login-submit = Sign in
login-wrong = E-mail address or password is not right.
login-too-many = Too many attempts. Try again in { $n ->
    [one] one second
   *[other] { $n } seconds
}.
login-busy = Too many people are signing in at this moment. Try again in a few seconds.
login-needs-https = The password was right, but your browser could not keep the session's cookie: this site is configured for HTTPS (PUBLIC_URL) and was reached over plain HTTP. Sign in at its HTTPS address:
login-cookie-lost = The password was right, but your browser did not keep the session's cookie. Allow cookies for this site and sign in again.
login-forgotten = Password forgotten?
login-forgotten-text = Whoever runs this site makes a new one on its machine and hands it to you:
login-forgotten-example = you@example.org
flash-signed-out = You have signed out.
home-title = Help with a task
home-heading = Something stuck? Tell us.
home-lead = Report a problem with a task, and follow what becomes of it.
home-report = Report a problem
home-report-text = Say what happened. A task id helps, but is not needed. You get a reference and a private link to the answer.
home-report-button = Report a problem
home-follow = Follow a report
home-follow-text = Use the reference and key you were given, or simply open your private link.
home-follow-ref = Reference
home-follow-key = Key
home-follow-button = Show the report
home-to-login = Staff: sign in
home-to-admin = To the overview

account-title = Account
account-sessions = Where you are signed in
account-end-others = Sign out everywhere else
account-browser = Browser
account-address = Address
account-since = Since
account-seen = Last seen
account-this = This one
account-password = Change the password
account-password-text = You will be signed out everywhere and sign in again with the new one.
account-present = Present password
account-new = New password
account-new-hint = 15 characters or more. A few words you can remember are better than symbols.
account-change = Change the password
account-wrong = This is not your present password.
password-short = Use at least { $n } characters.
password-long = Use at most 1,024 bytes.
password-guessable = This password is among the first that are guessed. Choose another.
flash-password-changed = The password is changed. Sign in with the new one.
flash-logged-out-elsewhere = { $n ->
    [0] There were no other sessions.
    [one] One other session is ended.
   *[other] { $n } other sessions are ended.
}
