-- Which department reads what is a list, not a program: the list is tables/departments.csv
--
--   part,peer
--   HEAD,NEURO
--   BRAIN,NEURO
--   KNEE,ORTHO
--   HIP,ORTHO
--
-- Change the list, run `hilum config reload`, done. What is not in it goes to the general workstation.
hilum.on {
  event = "instance.stored",
  name = "by-body-part",
  where = "Modality=CT,MR,DX,CR",
  run = function(ev)
    local row = hilum.table("departments")[ev.BodyPartExamined]
    ev:send(row and row.peer or "READING")
  end,
}
