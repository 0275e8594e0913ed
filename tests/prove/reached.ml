(* Prints for each statement whether the analysis has reached it. *)
let show kf (stmt : Cil_types.stmt) index =
  let position = fst (Cil_datatype.Stmt.loc stmt) in
  Printf.printf "statement %s:%d %s %d %s\n"
    (Filepath.Normalized.to_pretty_string position.Filepath.pos_path)
    position.Filepath.pos_lnum
    (Kernel_function.get_name kf) index
    (if Db.Value.is_reachable_stmt stmt then "reached" else "missed")

let () =
  Db.Main.extend (fun () ->
      if Db.Value.is_computed () then
        Globals.Functions.iter (fun kf ->
            if Kernel_function.is_definition kf then
              let f = Kernel_function.get_definition kf in
              List.iteri (fun index stmt -> show kf stmt index) f.Cil_types.sallstmts))
