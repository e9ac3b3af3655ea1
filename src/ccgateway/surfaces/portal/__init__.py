"""The portal: what browsers are shown, and who uses them.

signing_in  signing in and out, and who is signed in
sessions    the cookies by which a browser is known again, and whose requests they count for
"""
