"""The portal: what browsers are shown, and who uses them. Its data come by the public GraphQL interface, so a page may do what
its caller may.

pages       the pages' one HTML shell and its assets, each with what a browser is told about it
static      the pages themselves: ES modules and a style sheet without a build step, and uPlot
signing_in  signing in and out, and who is signed in
sessions    the cookies by which a browser is known again, and whose requests they count for
"""
