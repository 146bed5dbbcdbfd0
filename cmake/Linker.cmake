# lld, where it is, links a program in a fraction of the time of binutils' ld; a library touched links them all.
find_program(DERATE_LLD ld.lld)
if(DERATE_LLD)
  add_link_options(-fuse-ld=lld)
endif()
