"""Visual search: pictures go in; any picture, part of a picture or sentence finds its look-alikes."""
