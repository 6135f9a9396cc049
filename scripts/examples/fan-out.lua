-- Every CT goes to the archive; chest CT also to the AI node, ahead of other work.
-- One destination being off delays no other: each has its own queue and is tried until it answers.
--
-- Without the condition inside, no Lua would be needed: see `routes` in the configuration.
hilum.on {
  event = "instance.stored",
  name = "ct-fan-out",
  where = "Modality=CT",            -- compared before Lua is entered: costs nothing for the rest
  run = function(ev)
    ev:send("ARCHIVE")
    if ev.BodyPartExamined == "CHEST" then
      ev:send("AI_LUNG", { priority = "high" })
    end
  end,
}
