-- Emergency studies go to the teleradiology provider from 20:00 to 07:00 local time, and all weekend.
hilum.on {
  event = "instance.stored",        -- image by image, while the study is still arriving
  name = "night-telerad",
  where = "StationName~ER_*",       -- * and ? stand for anything
  run = function(ev)
    local day = hilum.clock.weekday()
    if day == "sat" or day == "sun" or hilum.clock.between("20:00", "07:00") then
      ev:send("TELERAD", { priority = "high" })
      ev:tag("telerad")
    end
  end,
}
