"""What is remembered of the sites' answers: the cache, in the words of the federation.

shelf     the cache as the use cases share it: subjects, audiences, lives, and what a write takes away
"""
