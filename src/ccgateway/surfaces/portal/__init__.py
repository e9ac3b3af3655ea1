"""The portal: what browsers are shown. Its data come by the public GraphQL interface, so a page may do what its caller may.

pages       the pages' one HTML shell and its assets, each with what a browser is told about it
static      the pages themselves: ES modules and a style sheet without a build step, and uPlot
"""
